//! One thing, many times, on one thread and in turn: what a run of twice as many costs more is the price of the thing
//! in instructions, which a noisy machine does not change.

use std::time::Duration;

use clap::{Args, ValueEnum};
use otc_im::app::{self, App};
use otc_im::config::Config;
use otc_im::domain::copy;
use otc_im::domain::signature::SignedHeaders;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::Outcome;
use crate::copies::{Copies, post, user};
use crate::http::Connection;

/// Pairs with unread messages.
const PEERS: u64 = 50;
/// A moment that is always the same.
const AT: u64 = 1_700_000_000_000;

/// `instructions`; the configuration comes from the environment, as the service's does
#[derive(Args)]
pub struct Instructions {
    /// What is done
    scene: Scene,
    /// How often
    times: u64,
    /// Users asked for by a poll
    #[arg(long, default_value_t = 50)]
    users: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scene {
    /// Verifies and parses a message copy, without a server
    VerifyAndParse,
    /// Polls over one connection
    Poll,
    /// Posts copies that are verified, read and not kept
    Acknowledged,
    /// Posts message copies
    Message,
}

impl Instructions {
    /// Does it.
    pub async fn run(self) -> Outcome {
        let config = Config::load(None)?;
        let secret = config.netease.app_secret.expose_secret().to_owned();
        let copies = Copies { secret, readers: 1, peers: PEERS, first_id: 1_000_000_000, at: AT };
        if self.scene == Scene::VerifyAndParse {
            return verify_and_parse(&copies, self.times);
        }
        app::migrate(&config).await?;
        let app = App::build(&config).await?;
        let listener = app::listen(&config).await?;
        let address = listener.local_addr()?.to_string();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(app.serve(listener, stop.clone()));
        let mut connection = Connection::open(&address).await?;
        self.drive(&copies, &mut connection).await?;
        drop(connection);
        stop.cancel();
        serving.await??;
        Ok(())
    }

    async fn drive(&self, copies: &Copies, connection: &mut Connection) -> Outcome {
        let mut request = Vec::new();
        for n in 0..PEERS {
            request.clear();
            copies.request(n, &mut request);
            answered(connection, &request).await?;
        }
        if self.scene == Scene::Poll {
            near_cache_is_up(connection).await?;
            // Half of them have written.
            let users: Vec<String> =
                (0..self.users).map(|n| user(if n % 2 == 0 { 'p' } else { 'q' }, n / 2)).collect();
            let body = serde_json::json!({ "self": user('r', 0), "users": users }).to_string();
            let head =
                format!("POST /v1/unread HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n", body.len());
            request = [head.as_bytes(), body.as_bytes()].concat();
            answered(connection, &request).await?;
            if !connection.body().starts_with(br#"{"p0000000":1,"q0000000":0"#) {
                return Err("the poll was not answered as it should be".into());
            }
        }
        for n in 0..self.times {
            match self.scene {
                Scene::Message => {
                    request.clear();
                    copies.request(PEERS + n, &mut request);
                }
                Scene::Acknowledged => {
                    request.clear();
                    let other =
                        copies.body(PEERS + n).replacen(r#""eventType":"1""#, r#""eventType":"4""#, 1);
                    post(&copies.secret, &other, AT, &mut request);
                }
                Scene::Poll | Scene::VerifyAndParse => {}
            }
            answered(connection, &request).await?;
        }
        Ok(())
    }
}

/// Waits until changes are heard of, if they are to be: a poll before that costs something else.
async fn near_cache_is_up(connection: &mut Connection) -> Outcome {
    loop {
        answered(connection, b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n").await?;
        let waits = |line: &[u8]| line.starts_with(b"otc_im_near_cache_active 0");
        if !connection.body().split(|b| *b == b'\n').any(waits) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn answered(connection: &mut Connection, request: &[u8]) -> Outcome {
    match connection.exchange(request).await? {
        200 => Ok(()),
        status => Err(format!("answered {status}").into()),
    }
}

fn verify_and_parse(copies: &Copies, times: u64) -> Outcome {
    use md5::{Digest, Md5};
    let body = copies.body(0);
    let (at, md5) = (AT.to_string(), hex::encode(Md5::digest(&body)));
    let check_sum = hex::encode(sha1::Sha1::digest(format!("{}{md5}{at}", copies.secret)));
    for _ in 0..times {
        let signed = SignedHeaders { cur_time: &at, md5: &md5, check_sum: &check_sum };
        signed.verify([copies.secret.as_str()])?.covers(body.as_bytes())?;
        let parsed = copy::parse(body.as_bytes()).map_err(|what| what.reason)?;
        std::hint::black_box(parsed);
    }
    Ok(())
}
