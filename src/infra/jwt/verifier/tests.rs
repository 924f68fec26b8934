//! Tokens and key sets as common issuers make them.

use serde_json::json;

use super::super::test_support::*;
use crate::domain::ids::LetterCase;
use crate::infra::jwt::JwtSettings;

#[tokio::test]
async fn tokens_of_common_issuers_are_taken() {
    let made = made_elsewhere("issuers.json");
    for made in made.as_array().unwrap() {
        let name = &made["issuer"];
        let text = |member: &str| made[member].as_str().map(ToOwned::to_owned);
        let issuer = Issuer::publishing(made["jwks"]["keys"].as_array().unwrap()).await;
        let settings = || JwtSettings { issuer: text("iss"), audience: text("aud"), ..issuer.settings() };
        let token = text("token").unwrap();

        let caller = authenticator(settings()).check(&token).await.unwrap();
        let subject = text("subject").unwrap_or_else(|| "alice".to_owned());
        assert!(caller.is(&subject, LetterCase::Distinct), "{name}: {caller:?}");
        for scope in made["scopes"].as_array().unwrap() {
            assert!(caller.may(scope.as_str().unwrap()), "{name}: {scope}");
        }
        assert!(!caller.may("unread"), "{name}");

        let elsewhere = JwtSettings { audience: Some("elsewhere".into()), ..settings() };
        assert_eq!(
            authenticator(elsewhere).check(&token).await,
            refused("its aud is not our audience"),
            "{name}"
        );
        let another = JwtSettings { issuer: Some("https://another.example".into()), ..settings() };
        assert_eq!(
            authenticator(another).check(&token).await,
            refused("its iss is not our issuer"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_id_token_without_our_scope_may_not_what_the_scope_allows() {
    for scope in [json!(["openid", "profile"]), json!("openid profile"), json!("")] {
        let token = Signer::secret(SECRET).token(None, &with("scope", scope.clone()));
        let caller = authenticator(hs256()).check(&token).await.unwrap();
        assert!(caller.is("alice", LetterCase::Distinct) && !caller.may("notify"), "{scope}");
    }
}
