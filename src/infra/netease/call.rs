//! One call before it is signed, and what is fixed for each API.

/// The calls of the classic server API that we make. Each has a quota of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// user/create
    UserCreate,
    /// user/update
    UserUpdate,
    /// user/updateUinfo
    UserUpdateUinfo,
    /// user/getUinfos
    UserGetUinfos,
    /// friend/add
    FriendAdd,
    /// msg/sendAttachMsg
    SendAttachMsg,
    /// msg/sendBatchAttachMsg
    SendBatchAttachMsg,
    /// history/querySessionList
    QuerySessionList,
    /// history/querySessionMsg
    QuerySessionMsg,
}

impl Api {
    /// Every one of them, in the order of their declaration: `ALL[api as usize]` is `api`.
    pub const ALL: [Self; 9] = [
        Self::UserCreate,
        Self::UserUpdate,
        Self::UserUpdateUinfo,
        Self::UserGetUinfos,
        Self::FriendAdd,
        Self::SendAttachMsg,
        Self::SendBatchAttachMsg,
        Self::QuerySessionList,
        Self::QuerySessionMsg,
    ];

    /// Its path without `.action`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserCreate => "user/create",
            Self::UserUpdate => "user/update",
            Self::UserUpdateUinfo => "user/updateUinfo",
            Self::UserGetUinfos => "user/getUinfos",
            Self::FriendAdd => "friend/add",
            Self::SendAttachMsg => "msg/sendAttachMsg",
            Self::SendBatchAttachMsg => "msg/sendBatchAttachMsg",
            Self::QuerySessionList => "history/querySessionList",
            Self::QuerySessionMsg => "history/querySessionMsg",
        }
    }

    /// Whether binds make it, so that somebody may wait for it.
    pub fn is_for_persons(self) -> bool {
        matches!(self, Self::UserCreate | Self::UserUpdate | Self::UserUpdateUinfo | Self::FriendAdd)
    }

    /// Whether doing it twice is the same as doing it once. If not, it may be repeated only when it is certain that
    /// it was not done.
    pub fn is_repeatable(self) -> bool {
        !matches!(self, Self::SendAttachMsg | Self::SendBatchAttachMsg)
    }
}

/// One call, before it is signed.
#[derive(Debug)]
pub(super) struct Call {
    /// Which one.
    pub api: Api,
    /// Names and values of the form.
    pub fields: Vec<(&'static str, String)>,
}

impl Call {
    /// A call without any field yet.
    pub fn new(api: Api) -> Self {
        Self { api, fields: Vec::new() }
    }

    /// The call with one more form field.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The call with one more form field, if there is a value.
    pub fn with_some(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_listed_in_the_order_of_their_declaration() {
        for (at, api) in Api::ALL.into_iter().enumerate() {
            assert_eq!(api as usize, at, "{}", api.name());
        }
    }
}
