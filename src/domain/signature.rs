//! NetEase's signatures: the one it puts on a message copy, and the one it wants on a call.

use md5::Md5;
use sha1::{Digest, Sha1};
use subtle::{Choice, ConstantTimeEq};

use super::ids::Millis;

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

/// What verified headers say of a body that has yet to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// When it was signed.
    pub at: Millis,
    /// Its MD5.
    md5: [u8; 16],
}

impl SignedHeaders<'_> {
    /// Whether any of `secrets` signed these headers. An empty secret signs nothing.
    ///
    /// `CheckSum` does not cover the body: only [`Signed::covers`] tells whether the body is NetEase's. So strangers are
    /// turned away before a byte of theirs is read.
    pub fn verify<'s>(&self, secrets: impl IntoIterator<Item = &'s str>) -> Result<Signed, SignatureError> {
        let digits = self.cur_time.bytes().all(|b| b.is_ascii_digit());
        if !digits || !(1..=14).contains(&self.cur_time.len()) {
            return Err(SignatureError::CurTime);
        }
        let mut md5 = [0; 16];
        hex::decode_to_slice(self.md5, &mut md5).map_err(|_| SignatureError::Md5)?;
        let lower = self.md5.to_ascii_lowercase();
        let matches = |secret: &str| {
            let sum = sha1_hex(&[secret, &lower, self.cur_time]);
            sum.as_bytes().ct_eq(self.check_sum.as_bytes())
        };
        // Every secret is tried, so that the time tells nothing of which one it was.
        let secrets = secrets.into_iter().filter(|secret| !secret.is_empty());
        let any = secrets.fold(Choice::from(0), |any, secret| any | matches(secret));
        if !bool::from(any) {
            return Err(SignatureError::CheckSum);
        }
        let at = self.cur_time.parse().map(Millis).map_err(|_| SignatureError::CurTime)?;
        Ok(Signed { at, md5 })
    }
}

impl Signed {
    /// Whether `body` is the one that was signed.
    pub fn covers(&self, body: &[u8]) -> Result<(), SignatureError> {
        match bool::from(Md5::digest(body).as_slice().ct_eq(&self.md5)) {
            true => Ok(()),
            false => Err(SignatureError::Md5),
        }
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
            let signed = headers.verify(["other", secret]).unwrap();
            assert_eq!(signed.at, Millis(cur_time.parse().unwrap()));
            assert_eq!(signed.covers(body), Ok(()));
            assert_eq!(signed.covers(&[body, b" "].concat()), Err(SignatureError::Md5));
            assert_eq!(headers.verify(["other"]), Err(SignatureError::CheckSum));
            let upper = md5.to_ascii_uppercase();
            assert_eq!(SignedHeaders { md5: &upper, ..headers }.verify([secret]), Ok(signed));
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
        let good = SignedHeaders {
            cur_time: "1608110108512",
            md5: "99914b932bd37a50b983c5e7c90ae93b",
            check_sum: "30e6479531581e14cc4e18544413d191f43a5f6c",
        };
        let secrets = ["test_app_secret_0123456789abcdef"];
        assert!(good.verify(secrets).is_ok());
        for cur_time in ["", "-1608110108512", "160811010851２", "160811010851299", "1608110108512 ", "é"] {
            let headers = SignedHeaders { cur_time, ..good };
            assert_eq!(headers.verify(secrets), Err(SignatureError::CurTime), "{cur_time}");
        }
        for md5 in
            ["", &good.md5[..31], "99914b932bd37a50b983c5e7c90ae93b0", "99914b932bd37a50b983c5e7c90ae93g"]
        {
            assert_eq!(SignedHeaders { md5, ..good }.verify(secrets), Err(SignatureError::Md5), "{md5}");
        }
        for check_sum in ["", "é", &good.check_sum[..39], &good.check_sum.to_ascii_uppercase()] {
            let headers = SignedHeaders { check_sum, ..good };
            assert_eq!(headers.verify(secrets), Err(SignatureError::CheckSum), "{check_sum}");
        }
        let seconds = SignedHeaders { cur_time: "1608110108", ..good };
        assert_eq!(seconds.verify(secrets), Err(SignatureError::CheckSum));
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        let (cur_time, md5) = ("1608110108512", "99914b932bd37a50b983c5e7c90ae93b");
        let check_sum = &*sha1_hex(&["", md5, cur_time]);
        let headers = SignedHeaders { cur_time, md5, check_sum };
        assert_eq!(headers.verify(["", "another"]), Err(SignatureError::CheckSum));
        assert_eq!(headers.verify([]), Err(SignatureError::CheckSum));
    }
}
