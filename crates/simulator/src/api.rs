//! The calls of NIM's server API, by name.

/// The calls of NIM's classic server API that the simulator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// user/create
    UserCreate,
    /// user/update
    UserUpdate,
    /// user/updateUinfo
    UserUpdateUinfo,
    /// user/refreshToken
    UserRefreshToken,
    /// user/getUinfos
    UserGetUinfos,
    /// friend/add
    FriendAdd,
    /// friend/get
    FriendGet,
    /// msg/sendAttachMsg
    SendAttachMsg,
    /// msg/sendBatchAttachMsg
    SendBatchAttachMsg,
}

impl Api {
    /// Every one of them.
    pub const ALL: [Self; 9] = [
        Self::UserCreate,
        Self::UserUpdate,
        Self::UserUpdateUinfo,
        Self::UserRefreshToken,
        Self::UserGetUinfos,
        Self::FriendAdd,
        Self::FriendGet,
        Self::SendAttachMsg,
        Self::SendBatchAttachMsg,
    ];

    /// The name in paths, faults and statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserCreate => "user/create",
            Self::UserUpdate => "user/update",
            Self::UserUpdateUinfo => "user/updateUinfo",
            Self::UserRefreshToken => "user/refreshToken",
            Self::UserGetUinfos => "user/getUinfos",
            Self::FriendAdd => "friend/add",
            Self::FriendGet => "friend/get",
            Self::SendAttachMsg => "msg/sendAttachMsg",
            Self::SendBatchAttachMsg => "msg/sendBatchAttachMsg",
        }
    }

    /// The API of a path such as `user/create.action`.
    pub fn named(action: &str) -> Option<Self> {
        let name = action.strip_suffix(".action")?;
        Self::ALL.into_iter().find(|api| api.name() == name)
    }
}
