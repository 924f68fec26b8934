//! The calls of NIM's server API, by name.

macro_rules! apis {
    ($($variant:ident = $name:literal,)*) => {
        /// The calls of NIM's classic server API that the simulator knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Api {
            $(#[doc = $name] $variant,)*
        }

        impl Api {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in paths, faults and statistics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

apis! {
    UserCreate = "user/create",
    UserUpdate = "user/update",
    UserUpdateUinfo = "user/updateUinfo",
    UserRefreshToken = "user/refreshToken",
    UserGetUinfos = "user/getUinfos",
    UserBlock = "user/block",
    UserUnblock = "user/unblock",
    UserMute = "user/mute",
    UserMuteModule = "user/muteModule",
    UserSetDonnop = "user/setDonnop",
    UserOnlineStatus = "user/userOnlineStatus",
    UserSetSpecialRelation = "user/setSpecialRelation",
    UserListBlackAndMuteList = "user/listBlackAndMuteList",
    FriendAdd = "friend/add",
    FriendUpdate = "friend/update",
    FriendDelete = "friend/delete",
    FriendGet = "friend/get",
    FriendGetByAccid = "friend/getByAccid",
    SendAttachMsg = "msg/sendAttachMsg",
    SendBatchAttachMsg = "msg/sendBatchAttachMsg",
    SendMsg = "msg/sendMsg",
    SendBatchMsg = "msg/sendBatchMsg",
    RecallMsg = "msg/recall",
    MarkReadMsg = "msg/markReadMsg",
    QuerySessionMsg = "history/querySessionMsg",
    QueryTeamMsg = "history/queryTeamMsg",
    QuerySessionList = "history/querySessionList",
    QueryUserEvents = "history/queryUserEvents",
    TeamCreate = "team/create",
    TeamQuery = "team/query",
    TeamRemove = "team/remove",
}

impl Api {
    /// The API of a path such as `user/create.action`.
    pub fn named(action: &str) -> Option<Self> {
        let name = action.strip_suffix(".action")?;
        Self::ALL.iter().copied().find(|api| api.name() == name)
    }
}
