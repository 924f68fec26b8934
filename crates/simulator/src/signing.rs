//! NetEase's two signatures, written from the protocol and on purpose not shared with the service.

use md5::Md5;
use sha1::{Digest, Sha1};

/// The signature headers of one webhook post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Header `CurTime`: Unix time, in milliseconds for the webhook.
    pub cur_time: String,
    /// Header `MD5`: lower-case hex MD5 of the raw body.
    pub md5: String,
    /// Header `CheckSum`: lower-case hex SHA1(`appSecret` + md5 + `curTime`).
    pub check_sum: String,
}

/// Signs a webhook body as NetEase does (message copy, `CheckSum`).
pub fn sign_copy(app_secret: &str, body: &[u8], cur_time: &str) -> Signature {
    let md5 = md5_hex(body);
    let check_sum = sha1_hex(&[app_secret, &md5, cur_time]);
    Signature { cur_time: cur_time.to_owned(), md5, check_sum }
}

/// The `CheckSum` a call to the server API has to carry: SHA1(`appSecret` + nonce + `curTime` in seconds).
pub fn call_check_sum(app_secret: &str, nonce: &str, cur_time: &str) -> String {
    sha1_hex(&[app_secret, nonce, cur_time])
}

/// Lower-case hex MD5.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

fn sha1_hex(parts: &[&str]) -> String {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}
