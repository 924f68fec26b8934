//! URLs: what is taken for one, what is refused, and that a refusal never shows a password.

use super::*;

#[test]
fn addresses_of_netease_and_of_an_issuer_are_read_whole() {
    for key in ["netease.base_url", "netease.backup_base_url", "auth.jwks_url"] {
        let end = if key == "auth.jwks_url" { "" } else { "/nimserver" };
        for odd in [
            "nim.example/nimserver",
            "ftp://x/nimserver",
            "https://",
            "https:///nimserver",
            "http:/a/nimserver",
            "http:a/nimserver",
            "http://a b/nimserver",
            " https://x/nimserver",
            "https://x/nimserver ",
            "https://x:99999/nimserver",
            "https://x:tiger/nimserver",
            "http://u:tiger@x/nimserver",
            "http://tiger@x/nimserver",
            "https://x/nimserver#tiger",
            "https://x\\nimserver",
        ] {
            refused(with(key, &format!("'{odd}'")), &[key]);
        }
        for good in ["https://x", "HTTPS://x:8443", "http://[::1]:80/a", "http://10.0.0.1"] {
            with(key, &format!("\"{good}{end}\"")).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    for odd in ["https://x/nimserver?tiger=1", "https://x", "https://x/nimservers", "https://x/NIMSERVER"] {
        refused(
            with("netease.base_url", &format!("\"{odd}\"")),
            &["netease.base_url", "/nimserver", "must end"],
        );
    }
    with("netease.base_url", "\"https://x/nimserver/\"").unwrap();
    with("auth.jwks_url", "\"https://x/keys?p=policy\"").unwrap();
}

#[test]
fn hosts_of_neteases_newer_api_stand_alone_and_want_it() {
    let of = |api: &str, key: &str, url: &str| {
        let base = if key == "base_url" { "" } else { "base_url = \"https://x/nimserver\"\n" };
        let keys = format!("api = \"{api}\"\n{key} = \"{url}\"\n{base}app_key = \"k\"\napp_secret = \"s\"");
        checked(&format!("[netease]\n{keys}"), &[])
    };
    for key in ["base_url", "backup_base_url"] {
        for region in ["open", "open-bak", "open-sg", "open-sg-bak"] {
            for end in ["", "/"] {
                let url = format!("https://{region}.yunxinapi.com{end}");
                assert_eq!(of("v10", key, &url).unwrap().netease.api, NeteaseApi::V10);
                refused(of("v9", key, &url), &[&format!("netease.{key} "), "v10", "/nimserver"]);
            }
        }
        of("v10", key, "https://api.yunxinapi.com/nimserver").unwrap();
        for odd in ["https://api.yunxinapi.com", "https://open.yunxinapi.com/im/v2", "https://open.example"] {
            refused(of("v10", key, odd), &[&format!("netease.{key} "), "must end", "open.yunxinapi.com"]);
        }
    }
    assert_eq!(with("netease.attempts", "2").unwrap().netease.api, NeteaseApi::V9);
    refused(with("netease.api", "\"v11\""), &["netease.api", "\"v9\" or \"v10\""]);
}

#[test]
fn addresses_of_stores_are_read_whole() {
    let encode = "percent-encoded";
    for (key, odd, words) in [
        ("accounts.url", "oracle://scott:tiger@db/x", "mysql: sqlite:"),
        ("accounts.url", "otc:tiger@h/x", "mysql: sqlite:"),
        ("accounts.url", "tiger", "mysql: sqlite:"),
        ("accounts.url", "", "mysql: sqlite:"),
        ("accounts.url", "MYSQL://h/x", "mysql: sqlite:"),
        ("accounts.url", "mysql:otc:tiger@127.0.0.1/otc_x", "mysql://"),
        ("accounts.url", "mysql://otc:tiger@h", "database"),
        ("accounts.url", "mysql://otc:tiger@h/", "database"),
        ("accounts.url", "mysql://otc:tiger@h/a/b", "database"),
        ("accounts.url", "mysql://otc:tiger@h:0x1/a", "port"),
        ("accounts.url", "mysql://otc:tiger@h:70000/a", "port"),
        ("accounts.url", "mysql://otc:tiger@/a", "host"),
        ("accounts.url", "mysql://otc:tiger@a,b/x", "one host"),
        ("accounts.url", "mysql://otc:ti@tiger@h/a", encode),
        ("accounts.url", "mysql://otc:ti/tiger@h/a", encode),
        ("accounts.url", "mysql://otc:12#tiger@h/a", encode),
        ("accounts.url", "mysql://otc:12?tiger@h/a", encode),
        ("accounts.url", "mysql://otc:12%tiger@h/a", encode),
        ("accounts.url", "sqlite:", "file"),
        ("accounts.url", "sqlite::memory:", "file"),
        ("accounts.url", "sqlite://?mode=rw", "file"),
        ("accounts.url", "mysql://otc:tiger@h/a\\n", "white space"),
        ("accounts.url", " mysql://otc:tiger@h/a", "white space"),
        ("accounts.url", "sqlite:tiger.db\\n", "white space"),
        ("messages.url", "mongodb://u:tiger@h/x\\n", "white space"),
        ("messages.url", "mongodb://u:tiger@h/x\\t", "white space"),
        ("unread.url", "redis://:tiger@h/1\\r\\n", "white space"),
        ("unread.url", "redis+sentinel://:tiger@a/master\\u0000", "white space"),
        ("messages.url", "mongodb:/u:tiger@h/x", "mongodb://"),
        ("messages.url", "mongodb://u:tiger@h:27017", "database"),
        ("messages.url", "mongodb://u:tiger@h:27017/?replicaSet=rs0", "database"),
        ("messages.url", "mongodb://u:tiger@a:1,b:x/db", "port"),
        ("messages.url", "mongodb://u:tiger@a,/db", "host"),
        ("unread.url", "redis:/:tiger@h", "redis://"),
        ("unread.url", "redis://:tiger@h/one", "number"),
        ("unread.url", "redis-cluster://:tiger@a,b/1", "hosts"),
        ("unread.url", "redis+sentinel://:tiger@a,b", "name a master"),
        ("unread.url", "redis+sentinel://:tiger@a,b//1", "name a master"),
        ("unread.url", "redis+sentinel://:tiger@a,b?sentinel_password=x/master", "name a master"),
        ("unread.url", "redis+sentinel://:tiger@a,b/master/one", "number"),
        ("unread.url", "redis+sentinel://:tiger@a,/master", "host"),
        ("unread.url", "redis+sentinel://:tiger@a,b:x/master", "port"),
        ("unread.url", "rediss+sentinel://:ti/tiger@a,b/master", encode),
        ("unread.url", "redis+sentinel://a/master?password=tiger", "sentinel_password"),
        ("unread.url", "redis+sentinel://a/master?sentinel_password=12%tiger", encode),
        ("unread.url", "redis+sentinel://a/master?sentinel_username=tiger", "without a sentinel_password"),
        ("unread.url", "memory:tiger", "memory:"),
        ("unread.url", "memory", "memory:"),
    ] {
        refused(with(key, &format!("\"{odd}\"")), &[key, words]);
    }
    for (key, good) in [
        ("accounts.url", "mysql://otc:a%40b@[::1]:3306/otc_im?ssl-mode=VERIFY_IDENTITY"),
        ("accounts.url", "sqlite:///var/lib/otc.db?mode=rw"),
        ("accounts.url", "sqlite:/home/trading desk/otc.db"),
        ("messages.url", "mongodb://u:p@a:1,b:2,c/otc_im?replicaSet=rs0&authSource=admin"),
        ("messages.url", "mongodb+srv://u:p@a.example/otc_im"),
        ("unread.url", "redis://h"),
        ("unread.url", "rediss://default:p@h:6379/0"),
        ("unread.url", "redis+sentinel://a:1,[::1],c/my%20master"),
        ("unread.url", "rediss+sentinel://u:p@a/main/1?sentinel_username=s&sentinel_password=a+b%26"),
        ("unread.url", "redis-cluster://u:p@a:1,b:2/"),
    ] {
        with(key, &format!("\"{good}\"")).unwrap_or_else(|error| panic!("{error}"));
    }
}
