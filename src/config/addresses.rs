//! The bounds of keys that hold a URL: read whole at the start, never shown, because it may hold a password.

use url::Url;

use super::bounds::Bounds;

const NO_NUMBER: &str = "may name a database by its number alone";
/// What to do about a password that makes a URL unreadable.
const ENCODE: &str = "within user and password write each of @ / : ? # % percent-encoded, such as %40 for @";

/// An `http` or `https` URL that we call.
pub(super) struct Http {
    /// What to say if it is empty.
    pub missing: &'static str,
    /// What its path has to end with.
    pub end: &'static str,
    /// Hosts that may stand without a path.
    pub alone: &'static [&'static str],
    /// Whether a query may follow.
    pub query: bool,
}

impl Bounds<String> for Http {
    fn check(&self, value: &String) -> Result<(), String> {
        if value.is_empty() {
            return Err(self.missing.to_owned());
        }
        let end = self.end;
        let odd = format!(
            "is no URL of the form https://host:port/path: write it such as https://host.example{end}"
        );
        let url = parse(value).ok_or(&*odd)?;
        let refuse = |predicate: &str| Err(predicate.to_owned());
        // The parser takes `https:host` and `https:///host` as well.
        let place = value[url.scheme().len()..].strip_prefix("://");
        if !matches!(url.scheme(), "http" | "https") || place.is_none_or(|place| place.starts_with('/')) {
            return refuse(&odd);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("must not name a user or a password: take out what stands before the @");
        }
        if url.fragment().is_some() || url.query().is_some() && !self.query {
            return refuse(&format!("must end with its path {end}: take out what stands after ? or #"));
        }
        let path = url.path().trim_end_matches('/');
        let is_alone = path.is_empty() && url.host_str().is_some_and(|host| self.alone.contains(&host));
        if is_alone || path.ends_with(end) {
            return Ok(());
        }
        let alone = self.alone.first().map_or_else(String::new, |host| {
            format!("; hosts such as {host} stand without a path, and serve netease.api = \"v10\" alone")
        });
        refuse(&format!("must end with {end}, such as https://host.example{end}{alone}"))
    }
}

/// Where the newer server API of NetEase, and nothing else, is: its paths begin at the root there.
const V10_ALONE: &[&str] =
    &["open.yunxinapi.com", "open-bak.yunxinapi.com", "open-sg.yunxinapi.com", "open-sg-bak.yunxinapi.com"];

/// Whether this address of NetEase, which is within its bounds, serves the newer server API alone.
pub(super) fn is_of_v10_alone(url: &str) -> bool {
    parse(url).is_some_and(|url| !url.path().trim_end_matches('/').ends_with(NETEASE.end))
}

/// Where NetEase is.
pub(super) const NETEASE: Http = Http {
    missing: "is missing: set it, such as https://api.yunxinapi.com/nimserver",
    end: "/nimserver",
    alone: V10_ALONE,
    query: false,
};

/// Where it is as well.
pub(super) const NETEASE_BACKUP: Http = Http {
    missing: "is empty: leave it out, or set it, such as https://api-sg.netease.im/nimserver",
    ..NETEASE
};

/// Where an issuer publishes its keys; some tell their key sets apart by a query.
pub(super) const JWKS: Http =
    Http { missing: "is empty: set it, or leave it out", end: "", alone: &[], query: true };

/// The URL of an HTTP proxy.
pub(super) struct HttpProxy;

/// What calls out may have to pass.
pub(super) const PROXY: HttpProxy = HttpProxy;

impl Bounds<String> for HttpProxy {
    fn check(&self, value: &String) -> Result<(), String> {
        if value.is_empty() {
            return Err("is empty: set it, or leave it out".to_owned());
        }
        let (scheme, rest) = value.split_once(':').unwrap_or_default();
        match scheme {
            "http" | "https" => hosts(rest, false, PathIs::Nothing)
                .map_err(|fault| format!("{fault}: write http://user:password@host:3128; {ENCODE}")),
            _ => Err("must begin with http: or https:; no other kind of proxy is known".to_owned()),
        }
    }
}

/// The URL of a store, by its scheme.
pub(super) struct Store(pub &'static [Form]);

/// One kind of store.
pub(super) struct Form {
    scheme: &'static str,
    /// How such a URL is written.
    written: &'static str,
    rest: Rest,
}

/// What follows the scheme.
#[derive(Clone, Copy)]
enum Rest {
    /// Nothing at all.
    Nothing,
    /// The path of a file, perhaps with parameters.
    File,
    /// `//`, hosts, and what the path is.
    Hosts { many: bool, path: PathIs },
}

#[derive(Clone, Copy)]
enum PathIs {
    /// The name of a database.
    Database,
    /// The number of a database, or nothing.
    Number,
    /// The name of a master, and perhaps the number of a database. How to log in to its sentinels may follow.
    Master,
    Nothing,
}

const SQLITE: Form = Form { scheme: "sqlite", written: "sqlite:path/to/otc-im.db", rest: Rest::File };

/// Where account rows can be.
pub(super) const ACCOUNTS: Store = Store(&[
    Form {
        scheme: "mysql",
        written: "mysql://user:password@host:3306/database",
        rest: Rest::Hosts { many: false, path: PathIs::Database },
    },
    SQLITE,
]);

/// Where the message log can be.
pub(super) const MESSAGES: Store = Store(&[
    Form {
        scheme: "mongodb",
        written: "mongodb://user:password@host:27017/database",
        rest: Rest::Hosts { many: true, path: PathIs::Database },
    },
    Form {
        scheme: "mongodb+srv",
        written: "mongodb+srv://user:password@host/database",
        rest: Rest::Hosts { many: false, path: PathIs::Database },
    },
    SQLITE,
]);

/// Where the unread view can be.
pub(super) const UNREAD: Store = Store(&[
    redis("redis", "redis://user:password@host:6379", PathIs::Number),
    redis("rediss", "rediss://user:password@host:6379", PathIs::Number),
    redis("redis+sentinel", "redis+sentinel://user:password@host:26379,another:26379/master", PathIs::Master),
    redis(
        "rediss+sentinel",
        "rediss+sentinel://user:password@host:26379,another:26379/master",
        PathIs::Master,
    ),
    redis("redis-cluster", "redis-cluster://user:password@host:6379,another:6379", PathIs::Nothing),
    redis("rediss-cluster", "rediss-cluster://user:password@host:6379,another:6379", PathIs::Nothing),
    Form { scheme: "memory", written: "memory:", rest: Rest::Nothing },
]);

const fn redis(scheme: &'static str, written: &'static str, path: PathIs) -> Form {
    Form { scheme, written, rest: Rest::Hosts { many: !matches!(path, PathIs::Number), path } }
}

impl Bounds<String> for Store {
    fn check(&self, value: &String) -> Result<(), String> {
        // The line feed that ends a file of secrets would become part of the database's name.
        if value.trim() != value || value.contains(char::is_control) {
            return Err("has white space at one end, or holds a control character: take it out".to_owned());
        }
        let (scheme, rest) = value.split_once(':').unwrap_or_default();
        let Some(form) = self.0.iter().find(|form| form.scheme == scheme) else {
            let schemes: Vec<_> = self.0.iter().map(|form| format!("{}:", form.scheme)).collect();
            return Err(format!("must begin with one of {}", schemes.join(" ")));
        };
        let written = form.written;
        match form.rest {
            Rest::Nothing if rest.is_empty() => Ok(()),
            Rest::Nothing => Err(format!("must be {written} and nothing more")),
            Rest::File => match rest.split('?').next().unwrap_or_default().trim_start_matches('/') {
                "" | ":memory:" => Err(format!("must name a file: write {written}")),
                _ => Ok(()),
            },
            Rest::Hosts { many, path } => {
                hosts(rest, many, path).map_err(|fault| format!("{fault}: write {written}; {ENCODE}"))
            }
        }
    }
}

/// The predicate for what is wrong with `//user:password@host:port,host:port/path?parameters`.
fn hosts(rest: &str, many: bool, path: PathIs) -> Result<(), &'static str> {
    const UNREADABLE: &str = "is not a URL that can be read";
    let rest = rest.strip_prefix("//").ok_or(UNREADABLE)?;
    let (place, path_and_more) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    let (user, all) = place.rsplit_once('@').map_or(("", place), |(user, all)| (user, all));
    if user.contains('@') || !is_percent_encoded(user) || path_and_more.contains('#') {
        return Err(UNREADABLE);
    }
    let all: Vec<_> = all.split(',').collect();
    if all.len() > 1 && !many {
        return Err("must name one host");
    }
    // Each host alone, as a URL that every parser of URLs reads in the same way.
    if !all.iter().all(|host| !host.is_empty() && parse(&format!("http://{host}/")).is_some()) {
        return Err("names no host, or a port that is none");
    }
    let (path_alone, parameters) = path_and_more.split_once('?').unwrap_or((path_and_more, ""));
    let named = path_alone.trim_matches('/');
    match path {
        PathIs::Master => master(path_alone).and_then(|()| login(parameters)),
        PathIs::Database if named.is_empty() || named.contains('/') => Err("must name one database"),
        PathIs::Number if !is_number(named) => Err(NO_NUMBER),
        PathIs::Nothing if !named.is_empty() => Err("must end with its hosts"),
        _ => Ok(()),
    }
}

/// The predicate for what is wrong with `/master/number`.
fn master(path: &str) -> Result<(), &'static str> {
    let named = path.strip_prefix('/').unwrap_or_default();
    let (name, number) = named.split_once('/').unwrap_or((named, ""));
    if name.is_empty() || !is_percent_encoded(name) {
        return Err("must name a master that its sentinels watch");
    }
    if is_number(number.trim_end_matches('/')) { Ok(()) } else { Err(NO_NUMBER) }
}

/// The predicate for what is wrong with `sentinel_username=…&sentinel_password=…`.
fn login(parameters: &str) -> Result<(), &'static str> {
    let keys: Vec<_> = parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').filter(|(_, value)| is_percent_encoded(value)))
        .map(|parameter| parameter.map(|(key, _)| key))
        .collect();
    if !keys.iter().all(|key| matches!(key, Some("sentinel_username" | "sentinel_password"))) {
        return Err("takes no parameters but sentinel_username=… and sentinel_password=…");
    }
    match keys.contains(&Some("sentinel_username")) && !keys.contains(&Some("sentinel_password")) {
        true => Err("names a sentinel_username without a sentinel_password"),
        false => Ok(()),
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A URL with a host. White space, which the parser would leave out silently, makes it none.
fn parse(text: &str) -> Option<Url> {
    let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\');
    Url::parse(text).ok().filter(|url| clean && url.has_host())
}

fn is_percent_encoded(text: &str) -> bool {
    let mut after = text.split('%').skip(1);
    after.all(|rest| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)))
}
