//! NetEase's signatures: the one it puts on a message copy, and the one it wants on a call.

use md5::Md5;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// Why a copy is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not exactly one header of that name, or one that is not text.
    #[error("the header {0} must be there once")]
    Header(&'static str),
    /// CurTime is not 1–14 ASCII digits: SHA1(secret ‖ data) can be extended, so nothing else may stand there.
    #[error("CurTime must be 1 to 14 digits")]
    CurTime,
    /// MD5 is not 32 hex characters, or not that of the body.
    #[error("MD5 is not that of the body")]
    Md5,
    /// `CheckSum` was made with no secret of ours.
    #[error("CheckSum does not match")]
    CheckSum,
    /// Older, or further ahead, than `netease.max_age` allows.
    #[error("CurTime is too far from the present")]
    Age,
}

/// The signature headers of a message copy (NIM message copy: AppKey, CurTime in milliseconds, MD5, `CheckSum`).
#[derive(Debug, Clone, Copy)]
pub struct SignedHeaders<'a> {
    /// When it was signed, milliseconds, decimal.
    pub cur_time: &'a str,
    /// Hex MD5 of the body, in either case.
    pub md5: &'a str,
    /// Lower-hex SHA1(appSecret + md5 + curTime).
    pub check_sum: &'a str,
}

impl SignedHeaders<'_> {
    /// Whether the body is NetEase's, by any of `secrets`; answers the signed time in milliseconds.
    ///
    /// `CheckSum` does not cover the body, so the body is hashed here and the MD5 header is only compared with it.
    pub fn verify<'s>(
        &self,
        body: &[u8],
        secrets: impl IntoIterator<Item = &'s str>,
    ) -> Result<i64, SignatureError> {
        let digits = self.cur_time.bytes().all(|b| b.is_ascii_digit());
        if !digits || !(1..=14).contains(&self.cur_time.len()) {
            return Err(SignatureError::CurTime);
        }
        let md5 = hex::encode(Md5::digest(body));
        if !bool::from(md5.as_bytes().ct_eq(self.md5.to_ascii_lowercase().as_bytes())) {
            return Err(SignatureError::Md5);
        }
        let matches =
            |secret| sha1_hex(&[secret, &md5, self.cur_time]).as_bytes().ct_eq(self.check_sum.as_bytes());
        if !secrets.into_iter().any(|secret| bool::from(matches(secret))) {
            return Err(SignatureError::CheckSum);
        }
        self.cur_time.parse().map_err(|_| SignatureError::CurTime)
    }
}

/// `CheckSum` of a call: lower-hex SHA1(appSecret + nonce + curTime), curTime in **seconds** (NIM server API).
pub fn call_check_sum(app_secret: &str, nonce: &str, cur_time: &str) -> String {
    sha1_hex(&[app_secret, nonce, cur_time])
}

fn sha1_hex(parts: &[&str]) -> String {
    let mut sha1 = Sha1::new();
    for part in parts {
        sha1.update(part);
    }
    hex::encode(sha1.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/fixtures/nim_vectors.json")).unwrap()
    }

    fn text<'a>(value: &'a Value, key: &str) -> &'a str {
        value[key].as_str().unwrap()
    }

    #[test]
    fn every_known_copy_verifies_and_no_other_secret_or_body_does() {
        let vectors = vectors();
        let secret = text(&vectors, "appSecret");
        let copies = vectors["webhook"].as_array().unwrap();
        assert_eq!(copies.len(), 5);
        for copy in copies {
            let (md5, cur_time) = (text(copy, "md5"), text(copy, "curTime"));
            let headers = SignedHeaders { cur_time, md5, check_sum: text(copy, "checkSum") };
            let body = text(copy, "body").as_bytes();
            assert_eq!(headers.verify(body, ["other", secret]), Ok(cur_time.parse().unwrap()));
            assert_eq!(headers.verify(body, ["other"]), Err(SignatureError::CheckSum));
            assert_eq!(headers.verify(&[body, b" "].concat(), [secret]), Err(SignatureError::Md5));
            let upper = md5.to_ascii_uppercase();
            assert!(SignedHeaders { md5: &upper, ..headers }.verify(body, [secret]).is_ok());
        }
    }

    #[test]
    fn calls_are_signed_as_netease_says() {
        let vectors = vectors();
        for call in vectors["outgoing"].as_array().unwrap() {
            let secret = text(call, "appSecret");
            let sum = call_check_sum(secret, text(call, "nonce"), text(call, "curTime"));
            assert_eq!(sum, text(call, "checkSum"));
        }
    }

    #[test]
    fn a_header_that_is_not_of_the_form_is_refused_before_any_secret_is_used() {
        let body = b"{}";
        let good = SignedHeaders {
            cur_time: "1608110108512",
            md5: "99914b932bd37a50b983c5e7c90ae93b",
            check_sum: "30e6479531581e14cc4e18544413d191f43a5f6c",
        };
        let secrets = ["test_app_secret_0123456789abcdef"];
        assert!(good.verify(body, secrets).is_ok());
        for cur_time in ["", "-1608110108512", "160811010851２", "160811010851299", "1608110108512 ", "é"] {
            let headers = SignedHeaders { cur_time, ..good };
            assert_eq!(headers.verify(body, secrets), Err(SignatureError::CurTime), "{cur_time}");
        }
        for md5 in
            ["", &good.md5[..31], "99914b932bd37a50b983c5e7c90ae93b0", "99914b932bd37a50b983c5e7c90ae93g"]
        {
            assert_eq!(
                SignedHeaders { md5, ..good }.verify(body, secrets),
                Err(SignatureError::Md5),
                "{md5}"
            );
        }
        for check_sum in ["", "é", &good.check_sum[..39], &good.check_sum.to_ascii_uppercase()] {
            let headers = SignedHeaders { check_sum, ..good };
            assert_eq!(headers.verify(body, secrets), Err(SignatureError::CheckSum), "{check_sum}");
        }
        let seconds = SignedHeaders { cur_time: "1608110108", ..good };
        assert_eq!(seconds.verify(body, secrets), Err(SignatureError::CheckSum));
    }
}
