//! The `section!` macro: declares keys, each once, with type, default and bounds.

use toml::Table;

use super::ConfigError;

/// One section. `section!` implements it, `sections!` uses it.
pub(super) trait Section: Default {
    /// The names of its keys, each with its bounds in words; empty where anything of its type will do.
    fn keys() -> Vec<(&'static str, String)>;

    /// The section with what `table` sets over the defaults. `name` is its own.
    fn read(name: &str, table: Table) -> Result<Self, ConfigError>;

    /// Whether every key is within its bounds.
    fn check(&self, name: &str) -> Result<(), ConfigError>;
}

/// A section: `key: Type = default, within bounds;`. A key without bounds does not compile; see [`super::bounds`].
macro_rules! section {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr, within $bounds:expr;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::config::section::Section for $name {
            fn keys() -> Vec<(&'static str, String)> {
                use $crate::config::bounds::Bounds;
                vec![$((stringify!($field), Bounds::<$type>::words(&$bounds)),)*]
            }

            fn read(name: &str, table: toml::Table) -> Result<Self, ConfigError> {
                let mut section = Self::default();
                for (key, value) in table {
                    let read = match key.as_str() {
                        $(stringify!($field) => {
                            $crate::config::setting::Setting::read(value).map(|value| section.$field = value)
                        })*
                        _ => {
                            let known = [$(stringify!($field)),*].join(", ");
                            Err(format!("is no key that there is: [{name}] has {known}"))
                        }
                    };
                    read.map_err(|predicate| ConfigError(format!("{name}.{key} {predicate}")))?;
                }
                Ok(section)
            }

            fn check(&self, name: &str) -> Result<(), ConfigError> {
                use $crate::config::bounds::Bounds;
                $(Bounds::<$type>::check(&$bounds, &self.$field)
                    .map_err(|predicate| ConfigError(format!("{name}.{} {predicate}", stringify!($field))))?;)*
                Ok(())
            }
        }
    };
}

/// The configuration: all its sections.
macro_rules! sections {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl $name {
            /// Every key as `(section, key, bounds)`; the bounds are empty where anything of its type will do.
            pub fn keys() -> Vec<(&'static str, &'static str, String)> {
                use $crate::config::section::Section;
                let mut keys = Vec::new();
                $(keys.extend(<$type>::keys().into_iter().map(|(key, words)| (stringify!($field), key, words)));)*
                keys
            }

            fn read(tables: toml::Table) -> Result<Self, ConfigError> {
                use $crate::config::section::Section;
                let mut config = Self::default();
                for (name, value) in tables {
                    let toml::Value::Table(table) = value else {
                        return Err(ConfigError(format!("{name} stands outside of a section: put it under its [section]")));
                    };
                    match name.as_str() {
                        $(stringify!($field) => config.$field = Section::read(&name, table)?,)*
                        _ => {
                            let known = [$(concat!("[", stringify!($field), "]")),*].join(", ");
                            return Err(ConfigError(format!("there is no section [{name}]: the sections are {known}")));
                        }
                    }
                }
                Ok(config)
            }

            fn check_bounds(&self) -> Result<(), ConfigError> {
                use $crate::config::section::Section;
                $(self.$field.check(stringify!($field))?;)*
                Ok(())
            }
        }
    };
}

pub(super) use {section, sections};
