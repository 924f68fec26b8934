//! Addresses and logins that managed servers give out, and that a driver takes only if it was built with them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::support::process::run;
use crate::support::service::Site;
use crate::support::stores::Stores;

const PUBLIC_KEY: &str = include_str!("../fixtures/jwt/test-only-rsa.public.pem");
/// What MySQL 8 opens with, without TLS: protocol 10, `PLUGIN_AUTH`, 20 bytes of nonce, `caching_sha2_password`.
const HELLO: &[u8] = b"\x0a8.4.0\x00\x01\0\0\x0012345678\0\x08\xa2\xff\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\x00\
    123456789012\0caching_sha2_password\0";

fn send(to: &mut TcpStream, number: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    to.write_all(&[&length[..3], &[number], payload].concat()).unwrap();
}

fn receive(from: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 4];
    from.read_exact(&mut head).unwrap();
    let mut payload = vec![0; usize::from(head[0]) + (usize::from(head[1]) << 8)];
    from.read_exact(&mut payload).unwrap();
    payload
}

/// A server that does not know the password yet, as after its start, wants it encrypted with its key (MySQL manual,
/// "Caching SHA-2 Pluggable Authentication").
#[tokio::test(flavor = "multi_thread")]
async fn mysql_without_tls_gets_the_password_encrypted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://otc:sesame@{}/otc", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        send(&mut client, 0, HELLO);
        let login = receive(&mut client);
        assert!(login.windows(21).any(|part| part == b"caching_sha2_password"), "{login:?}");
        send(&mut client, 2, b"\x01\x04"); // "authenticate in full"
        assert_eq!(receive(&mut client), [2], "the client asks for the key");
        send(&mut client, 4, &[b"\x01", PUBLIC_KEY.as_bytes()].concat());
        receive(&mut client)
    });
    let site = Site::new(Stores::embedded()).await.set("accounts.url", &url);
    let (code, ..) = run(&["migrate"], &site.settings(), site.stores.folder.path());
    assert_eq!(code, Some(1), "that server speaks no further");
    assert_eq!(server.join().unwrap().len(), 256, "a block of the key's 2048 bits");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_srv_address_is_looked_up_by_dns() {
    let site = Site::new(Stores::embedded()).await;
    let site = site.set("messages.url", "mongodb+srv://cluster.otc-im.invalid/otc");
    let (code, _, log) = run(&["check", "--offline"], &site.settings(), site.stores.folder.path());
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("messages.url: ") && log.contains("DNS"), "{log}");
}
