//! The calls of NIM's newer server API (V10), by name, verb and path.

macro_rules! calls {
    ($($variant:ident = $name:literal: $verb:literal $path:literal,)*) => {
        /// The calls of V10 that the simulator knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum V10Api {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl V10Api {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in faults and statistics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Its verb, and its path below `/im`, with `*` for an id.
            fn route(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$variant => ($verb, $path),)*
                }
            }
        }
    };
}

calls! {
    AccountsCreate = "v2/accounts.create": "POST" "v2/accounts",
    AccountsGet = "v2/accounts.get": "GET" "v2/accounts",
    AccountsUpdate = "v2/accounts.update": "PATCH" "v2/accounts/*",
    AccountsRefreshToken = "v2/accounts.refresh_token": "PATCH" "v2/accounts/*/actions/refresh_token",
    UsersGet = "v2/users.get": "GET" "v2/users",
    UsersUpdate = "v2/users.update": "PATCH" "v2/users/*",
    FriendsAdd = "v2.1/friends.add": "POST" "v2.1/friends",
    FriendsGet = "v2.1/friends.get": "GET" "v2.1/friends",
    NotificationSend = "v2/custom_notification.send": "POST" "v2/custom_notification",
    NotificationSendBatch = "v2/custom_notification.send_batch": "POST" "v2/custom_notification/batch",
    ConversationsList = "v2.1/conversations.list": "GET" "v2.1/conversations",
    ConversationsGet = "v2.1/conversations.get": "GET" "v2.1/conversations/*",
    ConversationsMessages = "v2.1/conversations.messages": "GET" "v2.1/conversations/*/messages",
    MessagesSend = "v2/messages.send": "POST" "v2/conversations/*/messages",
    MessagesReadReceipt = "v2/messages.p2p_read_receipt": "POST" "v2/messages/actions/p2p_read_receipt",
}

/// Why a request is no call.
#[derive(Debug, PartialEq, Eq)]
pub enum NoCall {
    /// No call has this path.
    Path,
    /// One has, by another verb.
    Verb,
}

impl V10Api {
    /// Whether it is one of those that are counted by the minute.
    pub fn is_batch(self) -> bool {
        self == Self::NotificationSendBatch
    }

    /// The call of a verb and a path below `/im`, and the id within the path, empty if there is none.
    pub fn of<'p>(verb: &str, path: &'p str) -> Result<(Self, &'p str), NoCall> {
        let mut there = NoCall::Path;
        for &api in Self::ALL {
            let (wanted, pattern) = api.route();
            let Some(id) = matched(pattern, path) else { continue };
            if wanted == verb {
                return Ok((api, id));
            }
            there = NoCall::Verb;
        }
        Err(there)
    }
}

/// What stands for the `*`, empty if there is none; `None` if the path is another.
fn matched<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let mut id = "";
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(id),
            (Some("*"), Some(part)) if !part.is_empty() => id = part,
            (Some(one), Some(other)) if one == other => {}
            _ => return None,
        }
    }
}
