//! Connects to one Redis server: the one that the URL names, or the master that its sentinels name at that moment.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, RedisResult};

use super::address::RedisAddress;
use super::sentinel::Sentinels;

/// Where a new connection leads is decided when it is made.
#[derive(Clone)]
pub(super) enum Connector {
    /// `redis://`, `rediss://`
    Server(Box<Client>),
    /// `redis+sentinel://`, `rediss+sentinel://`
    Master(Arc<Sentinels>),
}

impl Connector {
    /// What the URL names. Nobody is asked yet.
    pub fn to(address: &RedisAddress) -> RedisResult<Self> {
        Self::with(address, |info| info)
    }

    /// The same, for connections on which Redis pushes invalidations.
    pub fn for_tracking(address: &RedisAddress) -> RedisResult<Self> {
        Self::with(address, |info| {
            let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            info.set_redis_settings(resp3)
        })
    }

    fn with(
        address: &RedisAddress,
        adjust: impl FnOnce(ConnectionInfo) -> ConnectionInfo,
    ) -> RedisResult<Self> {
        match Sentinels::of(address)? {
            Some(sentinels) => Ok(Self::Master(Arc::new(sentinels.with_master(adjust)))),
            None => Ok(Self::Server(Box::new(Client::open(adjust(address.info()?))?))),
        }
    }

    /// Connects to the server that is there now.
    pub async fn connect(&self, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
        match self {
            Self::Server(client) => client.get_multiplexed_async_connection_with_config(config).await,
            Self::Master(sentinels) => sentinels.connect(config).await,
        }
    }

    /// The number of the database.
    pub fn db(&self) -> i64 {
        match self {
            Self::Server(client) => client.get_connection_info().redis_settings().db(),
            Self::Master(sentinels) => sentinels.db(),
        }
    }
}
