//! What becomes of the driver's connections when nobody waits for an operation any more.

use mongodb::Client;
use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;
use mongodb::event::command::CommandEvent;
use mongodb::options::ClientOptions;
use otc_im::infra::mongo::MongoLog;
use otc_im::ports::message_log::MessageLog;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::facts::fresh_accid;
use crate::support::proxy::Proxy;
use crate::support::{fresh_name, server};

/// What the driver does, as far as it concerns a connection.
#[derive(Debug, PartialEq, Eq)]
enum Did {
    Opened,
    Asked,
    GaveBack,
    Closed,
}

/// A log whose driver has one connection and tells what it does.
async fn told(url: &str) -> (MongoLog, UnboundedReceiver<Did>) {
    let (tell, told) = unbounded_channel();
    let asked = tell.clone();
    let mut options = ClientOptions::parse(url).await.unwrap();
    options.max_pool_size = Some(1);
    options.command_event_handler = Some(EventHandler::callback(move |event| {
        if matches!(event, CommandEvent::Started(_)) {
            let _ = asked.send(Did::Asked);
        }
    }));
    options.cmap_event_handler = Some(EventHandler::callback(move |event| {
        let did = match event {
            CmapEvent::ConnectionCreated(_) => Did::Opened,
            CmapEvent::ConnectionCheckedIn(_) => Did::GaveBack,
            CmapEvent::ConnectionClosed(_) => Did::Closed,
            _ => return,
        };
        let _ = tell.send(did);
    }));
    (MongoLog::new(Client::with_options(options).unwrap().database(&fresh_name())), told)
}

#[tokio::test]
async fn a_caller_who_leaves_half_way_costs_no_connection() {
    let url = server("TEST_MONGO_URL");
    let proxy = Proxy::of(&url).await;
    let (log, mut told) = told(&proxy.through(&url)).await;
    let reader = fresh_accid();
    log.is_big(&reader).await.unwrap();
    for did in [Did::Opened, Did::Asked, Did::GaveBack] {
        assert_eq!(told.recv().await, Some(did));
    }
    for _ in 0..3 {
        proxy.hold_replies();
        tokio::select! {
            biased;
            left = log.is_big(&reader) => panic!("nothing comes from the server: {left:?}"),
            did = told.recv() => assert_eq!(did, Some(Did::Asked)),
        }
        proxy.mend();
        assert_eq!(told.recv().await, Some(Did::GaveBack), "once the reply is there");
    }
    log.is_big(&reader).await.unwrap();
    for did in [Did::Asked, Did::GaveBack] {
        assert_eq!(told.recv().await, Some(did), "on the connection that is there");
    }
}
