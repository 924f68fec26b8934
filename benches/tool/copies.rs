//! Message copies, signed as NetEase signs them; written from the protocol, not shared with the service.

use md5::Md5;
use serde::Deserialize;
use sha1::{Digest, Sha1};

/// Which messages: number `n` goes from peer to reader so that each pair gets one before any gets two.
#[derive(Clone, Debug, Deserialize)]
pub struct Copies {
    /// The app secret.
    pub secret: String,
    /// Readers are `r0000000`, `r0000001` and so on.
    pub readers: u64,
    /// Peers are `p0000000`, `p0000001` and so on.
    pub peers: u64,
    /// The `msgidServer` of the first message.
    pub first_id: u64,
    /// The `msgTimestamp` of the first message; each later one is a millisecond later.
    pub at: u64,
}

/// One of many users with a name of fixed length.
pub fn user(letter: char, number: u64) -> String {
    format!("{letter}{number:07}")
}

impl Copies {
    /// The body of message `n`: about 430 bytes, as NetEase's are.
    pub fn body(&self, n: u64) -> String {
        let reader = user('r', n % self.readers);
        let peer = user('p', (n / self.readers) % self.peers);
        let (id, at) = (self.first_id + n, self.at + n);
        format!(
            r#"{{"eventType":"1","convType":"PERSON","msgType":"TEXT","fromAccount":"{peer}","to":"{reader}","msgTimestamp":"{at}","msgidServer":"{id}","body":"Is the payment for order {n} on its way? I have not seen it yet.","fromNick":"A seller of things","fromClientType":"WEB","fromDeviceId":"5a0c5c1e-9a6e-4c1e-8f0d-2d8a6a3c7b11","msgidClient":"0b7bd1a4-{id:012x}","resendFlag":"0","attach":"","tMembers":"","ext":""}}"#
        )
    }

    /// The request that posts message `n`, signed.
    pub fn request(&self, n: u64, into: &mut Vec<u8>) {
        post(&self.secret, &self.body(n), self.at, into);
    }
}

/// The request that posts `body`, signed at `at`.
pub fn post(secret: &str, body: &str, at: u64, into: &mut Vec<u8>) {
    let md5 = hex::encode(Md5::digest(body));
    let check_sum = hex::encode(Sha1::digest(format!("{secret}{md5}{at}")));
    let head = format!(
        "POST /receiveMsg.action HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json;charset=utf-8\r\n\
         AppKey: bench\r\nCurTime: {at}\r\nMD5: {md5}\r\nCheckSum: {check_sum}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    into.extend_from_slice(head.as_bytes());
    into.extend_from_slice(body.as_bytes());
}
