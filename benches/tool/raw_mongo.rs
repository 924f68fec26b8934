//! What MongoDB takes from its driver alone: the same documents, the same durability.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::try_join_all;
use mongodb::Collection;
use mongodb::bson::Document;
use mongodb::options::InsertManyOptions;
use otc_im::infra::mongo;

use crate::Outcome;
use crate::copies::Copies;
use crate::stats::{End, Sample, summary};
use crate::webhook_peers::document_of;

/// `raw-mongo`
#[derive(Args)]
pub struct RawMongo {
    /// `mongodb://…/database`
    #[arg(long)]
    mongo: String,
    /// Writers at once
    #[arg(long)]
    tasks: usize,
    /// Documents a write; one is `insert_one`
    #[arg(long)]
    batch: u64,
    #[arg(long)]
    seconds: f64,
    /// The `msgidServer` of the first message
    #[arg(long)]
    first_id: u64,
}

impl RawMongo {
    /// Writes for so long.
    pub async fn run(self) -> Outcome {
        let database = mongo::database(&self.mongo, 64).await?;
        mongo::prepare(&database, true).await?;
        let messages: Collection<Document> = database.collection("messages");
        let copies = Arc::new(Copies {
            secret: String::new(),
            readers: 1000,
            peers: 50,
            first_id: self.first_id,
            at: 1_700_000_000_000,
        });
        let (began, length) = (Instant::now(), Duration::from_secs_f64(self.seconds));
        let next = Arc::new(AtomicU64::new(0));
        let writers = (0..self.tasks).map(|_| {
            let (messages, copies, next) = (messages.clone(), Arc::clone(&copies), Arc::clone(&next));
            tokio::spawn(write(messages, copies, next, self.batch, began, length))
        });
        let samples = try_join_all(writers).await?.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        let mut result = summary(&samples, began.elapsed().as_secs_f64());
        let per_second = result["per_second"].as_f64().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let documents = per_second * self.batch as f64;
        result["documents_per_second"] = documents.into();
        result["documents"] = (result["done"].as_u64().unwrap_or_default() * self.batch).into();
        println!("{result}");
        Ok(())
    }
}

async fn write(
    messages: Collection<Document>,
    copies: Arc<Copies>,
    next: Arc<AtomicU64>,
    batch: u64,
    began: Instant,
    length: Duration,
) -> mongodb::error::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    while began.elapsed() < length {
        let first = next.fetch_add(batch, Ordering::Relaxed);
        let documents: Vec<Document> = (first..first + batch).map(|n| document_of(&copies, n)).collect();
        let sent = Instant::now();
        match documents.as_slice() {
            [one] => messages.insert_one(one).await.map(|_| ())?,
            many => {
                let unordered = InsertManyOptions::builder().ordered(false).build();
                messages.insert_many(many).with_options(unordered).await.map(|_| ())?;
            }
        }
        samples.push(Sample {
            at_ms: u32::try_from(sent.duration_since(began).as_millis()).unwrap_or(u32::MAX),
            micros: u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX),
            end: End::Good,
        });
    }
    Ok(samples)
}
