//! Who and when: user ids of the site, accids of NetEase, server message ids, milliseconds.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

use arrayvec::ArrayString;
use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

/// A user id of the site holds at most this many characters.
pub const MAX_USER_ID_CHARS: usize = 128;
/// The most bytes that so many characters take.
const MAX_USER_ID_BYTES: usize = MAX_USER_ID_CHARS * 4;
/// NetEase takes at most this many characters in an accid (NIM server API, user/create).
pub const MAX_ACCID_CHARS: usize = 32;
/// Accids that begin like this are hashes of user ids that NetEase would not take as they are.
pub const HASHED_PREFIX: &str = "h-";
/// 30 characters of five bits fill an accid behind the prefix.
const HASH_CHARS: usize = MAX_ACCID_CHARS - HASHED_PREFIX.len();

/// Which bytes are in accids.
const IN_ACCIDS: [bool; 256] = {
    let mut taken = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        taken[byte as usize] = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'@' | b'.' | b'-');
        byte += 1;
    }
    taken
};

/// Why a string is not the identity it was taken for. The text is a sentence's predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing between the quotes.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`MAX_USER_ID_CHARS`].
    #[error("must have at most {MAX_USER_ID_CHARS} characters")]
    TooLong,
    /// NUL, line feeds and their like have no place in an id.
    #[error("must not contain control characters")]
    Control,
    /// Not 1–32 characters of `[a-z0-9_@.-]`.
    #[error("is not an accid: NetEase takes 1 to {MAX_ACCID_CHARS} characters of a-z 0-9 _ @ . -")]
    NotAnAccid,
}

/// Whether letter case tells user ids apart (`accounts.case`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LetterCase {
    /// `Alice` and `alice` are two users.
    #[default]
    Distinct,
    /// `Alice` and `alice` are one user: the site's ids ignore the case of ASCII letters.
    Fold,
}

impl LetterCase {
    /// Whether the two texts name the same user.
    pub fn is_same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Distinct => one == other,
            Self::Fold => one.eq_ignore_ascii_case(other),
        }
    }

    /// Turns a user id into the text that every spelling of it has in common.
    pub fn fold(self, user: &mut str) {
        if self == Self::Fold {
            user.make_ascii_lowercase();
        }
    }

    /// The accid of a user id as somebody wrote it, or which rule of [`UserId::check`] it breaks. Allocates nothing.
    pub fn accid(self, written: &str) -> Result<Accid, IdError> {
        if self == Self::Distinct || !written.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Accid::of_checked(written);
        }
        UserId::check(written)?;
        let mut folded = ArrayString::<MAX_USER_ID_BYTES>::from(written).map_err(|_| IdError::TooLong)?;
        self.fold(&mut folded);
        Ok(Accid::of_user(&folded))
    }
}

/// A user of the trading site: 1–128 characters, no control characters.
///
/// Two are equal if they have one accid: then the site takes them for one user.
#[derive(Debug, Clone)]
pub struct UserId {
    written: String,
    accid: Accid,
}

impl UserId {
    /// Takes a user id as somebody wrote it, or says which rule it breaks.
    pub fn parse(written: &str, case: LetterCase) -> Result<Self, IdError> {
        Ok(Self { accid: case.accid(written)?, written: written.to_owned() })
    }

    /// The rule of [`UserId::parse`] for a caller that need not own the string.
    pub fn check(written: &str) -> Result<(), IdError> {
        if written.is_empty() {
            return Err(IdError::Empty);
        }
        // A string has at least as many bytes as characters, so the short way decides nearly always.
        if written.len() > MAX_USER_ID_CHARS && written.chars().count() > MAX_USER_ID_CHARS {
            return Err(IdError::TooLong);
        }
        if written.chars().any(char::is_control) {
            return Err(IdError::Control);
        }
        Ok(())
    }

    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The accid this user has at NetEase: see [`Accid::of_user`].
    pub fn accid(&self) -> &Accid {
        &self.accid
    }
}

impl PartialEq for UserId {
    fn eq(&self, other: &Self) -> bool {
        self.accid == other.accid
    }
}

impl Eq for UserId {}

impl Hash for UserId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.accid.hash(state);
    }
}

/// An account id at NetEase, held in place, for a poll has hundreds of them: 1–32 characters of `[a-z0-9_@.-]` (NIM server API, user/create; NIM lower-cases).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Accid(ArrayString<MAX_ACCID_CHARS>);

impl Accid {
    /// The accid of a user id: a pure function, so that a poll needs no look-up.
    ///
    /// An id of 1–32 characters of `[a-z0-9_@.-]` is its own accid. Any other, one with an upper-case letter too, becomes a
    /// prefixed hash of its exact bytes, and so does an id that itself begins with the prefix: two ids never share an accid.
    pub fn of_user(user: &str) -> Self {
        Self::plain(user).unwrap_or_else(|| hashed(user))
    }

    /// [`UserId::check`] and [`Accid::of_user`] in one look: what NetEase would take is a user id.
    fn of_checked(user: &str) -> Result<Self, IdError> {
        Self::plain(user).map_or_else(|| UserId::check(user).map(|()| hashed(user)), Ok)
    }

    /// The accid of a user id that is its own.
    fn plain(user: &str) -> Option<Self> {
        let own = is_accid(user) && !user.starts_with(HASHED_PREFIX);
        if own { ArrayString::from(user).ok().map(Self) } else { None }
    }

    /// An accid as NetEase writes it in a copy; upper case is folded, as NetEase does.
    pub fn from_nim(raw: &str) -> Result<Self, IdError> {
        let mut accid = ArrayString::from(raw).map_err(|_| IdError::NotAnAccid)?;
        accid.make_ascii_lowercase();
        if is_accid(&accid) { Ok(Self(accid)) } else { Err(IdError::NotAnAccid) }
    }

    /// The accid, lower-case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Equal, ordered and hashed as its text, so a map by accid can be asked with text.
impl Borrow<str> for Accid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Accid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_accid(text: &str) -> bool {
    (1..=MAX_ACCID_CHARS).contains(&text.len()) && text.bytes().all(|byte| IN_ACCIDS[usize::from(byte)])
}

/// The first 150 bits of SHA-256 in base32, behind the prefix: 32 characters in all.
fn hashed(user: &str) -> Accid {
    let digest = Sha256::digest(user.as_bytes());
    let base32 = BASE32_NOPAD.encode(&digest).to_ascii_lowercase();
    let mut accid = ArrayString::new();
    accid.push_str(HASHED_PREFIX);
    accid.push_str(&base32[..HASH_CHARS]);
    Accid(accid)
}

/// Milliseconds since 1970-01-01T00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Millis(pub i64);

impl Millis {
    /// No moment is later.
    pub const END: Self = Self(i64::MAX);

    /// The moment `ms` milliseconds later, or the last one there is.
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here; 0 when `earlier` lies ahead.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `msgidServer`: NetEase's number for a message, 18–19 digits today, here 1 to 2^63−1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(i64);

impl ServerId {
    /// The least one there can be.
    pub const FIRST: Self = Self(1);

    /// `None` for zero and below.
    pub fn new(raw: i64) -> Option<Self> {
        (raw > 0).then_some(Self(raw))
    }

    /// The number itself.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_that_fits_is_its_own_accid() {
        for user in ["alice", "bob_7@x.y-z", "a", "0", &"x".repeat(32)] {
            assert_eq!(Accid::of_user(user).as_str(), user);
        }
    }

    #[test]
    fn an_id_that_does_not_fit_is_hashed_the_same_way_for_ever() {
        // Pinned: accids are stored at NetEase, so this mapping can never change.
        assert_eq!(Accid::of_user("张三").as_str(), "h-dwcbxqhotayjzn4rmzylp4h555puyn");
        assert_eq!(Accid::of_user("Alice").as_str(), "h-hpcrayuxhrcy2wtpfwgwjibderrvjl");
        for user in
            ["a b", "张三", &"x".repeat(33), "h-abc", "H-abc", "ａ", "\u{212a}", "Alice", "ALICE", "a.B"]
        {
            let accid = Accid::of_user(user);
            assert!(accid.as_str().starts_with(HASHED_PREFIX), "{user}");
            assert_eq!(accid.as_str().len(), 32);
        }
        assert_ne!(Accid::of_user("h-abc"), Accid::of_user("H-abc"));
    }

    #[test]
    fn an_accid_of_netease_is_the_same_in_upper_case() {
        assert_eq!(Accid::from_nim("Bob_7@X.y-z").unwrap().as_str(), "bob_7@x.y-z");
        for raw in ["", "a b", "张", &"x".repeat(33)] {
            assert_eq!(Accid::from_nim(raw), Err(IdError::NotAnAccid), "{raw}");
        }
    }

    #[test]
    fn letter_case_tells_users_apart_unless_the_site_says_otherwise() {
        let user = |written, case| UserId::parse(written, case).unwrap();
        for (one, other) in
            [("alice", "ALICE"), ("张三a", "张三A"), ("h-abc", "H-aBc"), ("ß\u{212a}K", "ß\u{212a}k")]
        {
            assert_ne!(user(one, LetterCase::Distinct), user(other, LetterCase::Distinct), "{one}");
            assert_eq!(user(one, LetterCase::Fold), user(other, LetterCase::Fold), "{one}");
            assert_eq!(user(other, LetterCase::Fold).as_str(), other, "as it was written");
            assert!(LetterCase::Fold.is_same(one, other) && !LetterCase::Distinct.is_same(one, other));
        }
        assert_ne!(user("É", LetterCase::Fold), user("é", LetterCase::Fold), "ASCII alone");
        assert_eq!(user(&"张A".repeat(64), LetterCase::Fold), user(&"张a".repeat(64), LetterCase::Fold));
    }

    #[test]
    fn user_ids_have_bounds() {
        assert_eq!(UserId::check(""), Err(IdError::Empty));
        assert_eq!(UserId::check("a\0b"), Err(IdError::Control));
        assert_eq!(UserId::check(&"张".repeat(128)), Ok(()));
        assert_eq!(UserId::check(&"张".repeat(129)), Err(IdError::TooLong));
    }

    proptest! {
        #[test]
        fn every_accid_is_one_that_netease_takes(user in "\\PC{1,128}") {
            let accid = Accid::of_user(&user);
            prop_assert_eq!(Accid::from_nim(accid.as_str()), Ok(accid.clone()));
        }

        #[test]
        fn one_look_is_as_good_as_two(user in "[a-zH\\-@张\\x00]{0,3}|\\PC{0,140}") {
            let two = UserId::check(&user).map(|()| Accid::of_user(&user));
            prop_assert_eq!(LetterCase::Distinct.accid(&user), two);
            let folded = LetterCase::Distinct.accid(&user.to_ascii_lowercase());
            prop_assert_eq!(LetterCase::Fold.accid(&user), folded);
        }

        #[test]
        fn two_ids_never_share_an_accid(one in "[a-cA-C]{1,2}|h-[a-b]|\\PC{1,40}", other in "[a-cA-C]{1,2}|h-[a-b]") {
            prop_assert_eq!(Accid::of_user(&one) == Accid::of_user(&other), one == other);
        }

        #[test]
        fn nobody_can_choose_the_id_that_another_one_hashes_to(user in "\\PC{1,40}") {
            let accid = Accid::of_user(&user);
            if accid.as_str().starts_with(HASHED_PREFIX) {
                prop_assert_ne!(Accid::of_user(accid.as_str()), accid);
            }
        }
    }
}
