//! The master that Redis Sentinels name, asked before each new connection.
//!
//! All sentinels are asked at once, and the first one whose master takes the connection and is no replica decides. So
//! a sentinel that hangs costs nothing while another one answers, and one that has missed a failover is passed over
//! as soon as the old master is gone or has become a replica. redis-rs' own client takes their answers in the order
//! of the URL, and has time-outs of its own.

use std::io;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError,
    RedisResult,
};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use super::address::RedisAddress;
use super::timeouts::CONNECT_TIMEOUT;

/// Where a sentinel listens unless the URL says otherwise.
const PORT: u16 = 26_379;

/// What shows which masters there are.
const MONITOR: &str = "compare the name with `sentinel monitor` in sentinel.conf";

/// Where a master is, by a sentinel's answer.
type Master = (String, u16);

/// The sentinels of one master.
pub(super) struct Sentinels {
    /// How to reach each of them.
    places: Vec<ConnectionInfo>,
    name: Arc<str>,
    /// How to log in to the master; its host and port are what the sentinels say.
    master: ConnectionInfo,
}

impl Sentinels {
    /// Those of `redis+sentinel://user:password@host:port,host:port/master-name/db?sentinel_username=…`; `None` if
    /// the URL is of another scheme.
    pub fn of(address: &RedisAddress) -> RedisResult<Option<Self>> {
        let Some((scheme, rest)) = address.url().split_once("+sentinel://") else { return Ok(None) };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (servers, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = servers.rsplit_once('@').map_or(("", servers), |(user, hosts)| (user, hosts));
        let (name, db) = path.split_once('/').unwrap_or((path, ""));
        let at_sentinel = |host| address.vouched(sentinel(scheme, host, query)?);
        let places = hosts.split(',').map(at_sentinel).collect::<RedisResult<Vec<_>>>()?;
        let some_host = hosts.split(',').next().unwrap_or_default();
        let master = format!("{scheme}://{user}@{some_host}/{db}").into_connection_info()?;
        Ok(Some(Self {
            places,
            name: percent_decode_str(name).decode_utf8_lossy().into(),
            master: address.vouched(master)?,
        }))
    }

    /// The same, with other settings for connections to the master.
    pub fn with_master(self, adjust: impl FnOnce(ConnectionInfo) -> ConnectionInfo) -> Self {
        Self { master: adjust(self.master), ..self }
    }

    /// The number of the database on the master.
    pub fn db(&self) -> i64 {
        self.master.redis_settings().db()
    }

    /// Connects to the master.
    pub async fn connect(&self, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
        // Tasks of their own: none is held up by an attempt to connect to what another one has named.
        let mut answers = JoinSet::new();
        for sentinel in &self.places {
            let (sentinel, name) = (sentinel.clone(), Arc::clone(&self.name));
            answers.spawn(async move { (sentinel.addr().to_string(), ask(sentinel, &name).await) });
        }
        let (mut tried, mut failed) = (Vec::<Master>::new(), None);
        let (mut silent, mut ignorant) = (Vec::new(), Vec::new());
        while let Some(answered) = answers.join_next().await {
            let Ok((sentinel, answer)) = answered else { continue };
            match answer {
                Ok(Some(master)) if tried.contains(&master) => {}
                Ok(Some(master)) => {
                    match self.connect_to(&master, config).await {
                        Ok(connection) => return Ok(connection),
                        Err(error) => failed = Some(self.out_of_reach(&master, &error)),
                    }
                    tried.push(master);
                }
                Ok(None) => ignorant.push(sentinel),
                Err(error) => silent.push(format!("{sentinel}: {error}")),
            }
        }
        Err(failed.unwrap_or_else(|| self.unnamed(&ignorant, &silent)))
    }

    async fn connect_to(
        &self,
        (host, port): &Master,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let client = Client::open(at(&self.master, host, *port))?;
        let mut connection = client.get_multiplexed_async_connection_with_config(config).await?;
        match redis::cmd("INFO").arg("replication").query_async::<String>(&mut connection).await {
            Ok(info) if info.lines().any(|line| line == "role:slave") => {
                Err((ErrorKind::Client, "it is a replica").into())
            }
            // A user without the right to ask learns of it by the first write.
            Err(error) if !matches!(error.kind(), ErrorKind::Server(_)) => Err(error),
            _ => Ok(connection),
        }
    }

    /// Of the same kind as `error` to those who connect again.
    fn out_of_reach(&self, (host, port): &Master, error: &RedisError) -> RedisError {
        let kind = match error {
            error if error.is_connection_dropped() => io::ErrorKind::NotConnected,
            error if error.is_timeout() => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        let name = &self.name;
        let sentence =
            format!("the sentinels of unread.url name {host}:{port} as the master `{name}`: {error}");
        io::Error::new(kind, sentence).into()
    }

    /// No sentinel has named a master: these do not know it, and those have not answered.
    fn unnamed(&self, ignorant: &[String], silent: &[String]) -> RedisError {
        let (name, asked, silent) = (&self.name, ignorant.join(", "), silent.join(", "));
        let others = if silent.is_empty() { "" } else { "; others do not answer: " };
        let sentence = match ignorant.is_empty() {
            true => format!("no sentinel of unread.url answers: {silent}"),
            false => {
                let unknown = format!("no sentinel of unread.url names a master `{name}`");
                format!("{unknown}: {MONITOR} of {asked}{others}{silent}")
            }
        };
        io::Error::other(sentence).into()
    }
}

/// How to connect to the sentinel at `host`, perhaps with a port.
fn sentinel(scheme: &str, host: &str, query: &str) -> RedisResult<ConnectionInfo> {
    let unreadable = || (ErrorKind::InvalidClientConfig, "the URL does not name sentinels");
    let mut url = Url::parse(&format!("{scheme}://{host}")).map_err(|_| unreadable())?;
    if url.port().is_none() {
        url.set_port(Some(PORT)).map_err(|()| unreadable())?;
    }
    let info = url.into_connection_info()?;
    let mut login = info.redis_settings().clone();
    for (key, value) in query.split('&').filter_map(|parameter| parameter.split_once('=')) {
        let value = percent_decode_str(value).decode_utf8_lossy();
        login = match key {
            "sentinel_username" => login.set_username(value),
            "sentinel_password" => login.set_password(value),
            _ => login,
        };
    }
    Ok(info.set_redis_settings(login))
}

/// The master that this sentinel names; none if it knows nobody of that name.
async fn ask(sentinel: ConnectionInfo, name: &str) -> RedisResult<Option<Master>> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    let answer = async {
        let client = Client::open(sentinel)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(name).query_async(&mut connection).await
    };
    let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut).into());
    timeout(CONNECT_TIMEOUT, answer).await.unwrap_or_else(late)
}

/// The same way to another host.
fn at(info: &ConnectionInfo, new_host: &str, new_port: u16) -> ConnectionInfo {
    let mut addr = info.addr().clone();
    if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } = &mut addr {
        (*host, *port) = (new_host.to_owned(), new_port);
    }
    info.clone().set_addr(addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Sentinels {
        Sentinels::of(&url.into()).unwrap().unwrap()
    }

    #[test]
    fn a_url_names_sentinels_their_master_and_who_logs_in_where() {
        let named = of(
            "rediss+sentinel://u%40:p%2F@a:1,[::1]/my%20master/3?sentinel_username=s&sentinel_password=a+b%26",
        );
        assert_eq!((&*named.name, named.db()), ("my master", 3));
        let addresses: Vec<_> = named.places.iter().map(|info| info.addr().to_string()).collect();
        assert_eq!(addresses, ["a:1", "::1:26379"]);
        for sentinel in &named.places {
            let login = sentinel.redis_settings();
            assert_eq!((login.username(), login.password(), login.db()), (Some("s"), Some("a+b&"), 0));
            assert!(matches!(sentinel.addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
        }
        let master = at(&named.master, "::2", 6_380);
        let login = master.redis_settings();
        assert_eq!((login.username(), login.password()), (Some("u@"), Some("p/")));
        assert_eq!(master.addr().to_string(), "::2:6380");
        assert!(matches!(master.addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
    }

    #[test]
    fn a_url_without_logins_has_none_and_one_of_another_scheme_names_no_sentinels() {
        let named = of("redis+sentinel://a,b/mymaster");
        assert_eq!((&*named.name, named.db(), named.places.len()), ("mymaster", 0, 2));
        for info in named.places.iter().chain([&named.master]) {
            assert!(matches!(info.addr(), ConnectionAddr::Tcp(..)));
            let login = info.redis_settings();
            assert_eq!((login.username(), login.password()), (None, None));
        }
        assert!(Sentinels::of(&"redis://a/1".into()).unwrap().is_none());
    }
}
