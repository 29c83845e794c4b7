//! How often a client may ask: which rule counts which request, and what the client is told.

use std::{
    num::NonZeroU32,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, request::Parts};
use ipnet::IpNet;
use safire_actors::{
    Origin,
    limits::{Decision, RateLimit, Rule, Shared, Subject},
};

use crate::{
    App, Problem,
    auth::{Authenticated, authenticate},
    client,
    document::API,
    problem::whole_seconds,
    routes::is_new_session,
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How much is allowed; 0 is without limit.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Attempts to sign in from one address.
    pub login_per_minute: u32,
    /// Accounts made from one address.
    pub register_per_hour: u32,
    /// Refreshes from one address.
    pub refresh_per_minute: u32,
    /// Calculations that one user asks for.
    pub calculate_per_minute: u32,
    /// Units of calculations that nothing is stored of, which one user asks for: one a request, more for what takes longer.
    pub quick_per_minute: u32,
    /// Requests of one user, or of one address that no user was known at.
    pub requests_per_minute: u32,
    /// Proxies that are believed when they name their client.
    pub trusted_proxies: Vec<IpNet>,
}

impl Settings {
    /// How much is allowed unless configured otherwise.
    pub const DEFAULT: Self = Self {
        login_per_minute: 5,
        register_per_hour: 3,
        refresh_per_minute: 10,
        calculate_per_minute: 10,
        quick_per_minute: 120,
        requests_per_minute: 600,
        trusted_proxies: Vec::new(),
    };
}

/// A limit that some routes have beside the general one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Login,
    Register,
    Refresh,
    Calculate,
    Quick,
}

impl Own {
    /// The limit of a route below `/api/v1`.
    fn of(method: &Method, route: &str) -> Option<Self> {
        match (method, route) {
            (&Method::POST, "/auth/login") => Some(Self::Login),
            (&Method::POST, "/auth/register") => Some(Self::Register),
            (&Method::POST, "/auth/refresh") => Some(Self::Refresh),
            (
                &Method::POST,
                "/scenarios/{id}/calculate"
                | "/scenarios/{id}/calculate/sync"
                | "/scenarios/{id}/runs/{run_id}/retry"
                | "/scenarios/{id}/breakeven"
                | "/calculate/breakeven",
            ) => Some(Self::Calculate),
            (&Method::POST, "/calculate/quick" | "/calculate:batch") => Some(Self::Quick),
            _ => None,
        }
    }

    /// The name of the limit that it is.
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Register => "register",
            Self::Refresh => "refresh",
            Self::Calculate => "calculate",
            Self::Quick => "quick",
        }
    }

    fn described(self) -> String {
        let Settings {
            login_per_minute,
            register_per_hour,
            refresh_per_minute,
            calculate_per_minute,
            quick_per_minute,
            ..
        } = Settings::DEFAULT;
        match self {
            Self::Login => format!("{login_per_minute} a minute for an address (`login`)"),
            Self::Register => format!("{register_per_hour} an hour for an address (`register`)"),
            Self::Refresh => format!("{refresh_per_minute} a minute for an address (`refresh`)"),
            Self::Calculate => format!("{calculate_per_minute} calculations a minute for a user (`calculate`)"),
            Self::Quick => format!(
                "{quick_per_minute} units a minute for a user (`quick`): one a request, one more for every \
                 {EVALUATIONS} evaluations of an analysis and every {PLANTS} plants of a batch"
            ),
        }
    }
}

/// The limits of an operation, for people.
pub(crate) fn described(method: &Method, path: &str) -> Vec<String> {
    let own = path.strip_prefix(API).and_then(|route| Own::of(method, route));
    let all = format!(
        "{} requests a minute for a user, or for an address without one (`requests`)",
        Settings::DEFAULT.requests_per_minute
    );
    own.map(Own::described).into_iter().chain([all]).collect()
}

/// The name of the limit that an operation has beside the general one.
pub(crate) fn own(method: &Method, path: &str) -> Option<&'static str> {
    Some(Own::of(method, path.strip_prefix(API)?)?.name())
}

/// The limits of all routes.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    login: Option<RateLimit>,
    register: Option<RateLimit>,
    refresh: Option<RateLimit>,
    calculate: Option<RateLimit>,
    quick: Option<RateLimit>,
    requests: Option<RateLimit>,
    trusted_proxies: Vec<IpNet>,
}

impl Limits {
    /// Limits that are counted in `shared` where there is one that answers, and in this process
    /// otherwise.
    pub fn new(settings: Settings, shared: Option<&Shared>) -> Self {
        let limit = |name, burst, window| {
            let rule = Rule { name, burst: NonZeroU32::new(burst)?, window };
            Some(RateLimit::new(rule, shared.cloned()))
        };
        Self(Arc::new(Inner {
            login: limit(Own::Login.name(), settings.login_per_minute, MINUTE),
            register: limit(Own::Register.name(), settings.register_per_hour, HOUR),
            refresh: limit(Own::Refresh.name(), settings.refresh_per_minute, MINUTE),
            calculate: limit(Own::Calculate.name(), settings.calculate_per_minute, MINUTE),
            quick: limit(Own::Quick.name(), settings.quick_per_minute, MINUTE),
            requests: limit("requests", settings.requests_per_minute, MINUTE),
            trusted_proxies: settings.trusted_proxies,
        }))
    }
}

impl Inner {
    /// The limits that a request counts against, the narrowest first.
    fn of(&self, method: &Method, path: &str, address: Subject, caller: Subject) -> Vec<(&RateLimit, Subject)> {
        let own = match path.strip_prefix(API).and_then(|route| Own::of(method, route)) {
            Some(Own::Login) => (&self.login, address),
            Some(Own::Register) => (&self.register, address),
            Some(Own::Refresh) => (&self.refresh, address),
            Some(Own::Calculate) => (&self.calculate, caller),
            Some(Own::Quick) => (&self.quick, caller),
            None => (&None, caller),
        };
        let limits = [own, (&self.requests, caller)];
        limits.into_iter().filter_map(|(limit, subject)| Some((limit.as_ref()?, subject))).collect()
    }
}

/// Counts a request, and refuses it when its limit is reached.
pub(crate) async fn limit(app: &App, mut request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let counts = |path: &&str| path.starts_with(API) || is_new_session(&request);
    let Some(path) = path.as_ref().map(MatchedPath::as_str).filter(counts) else {
        return answer(request).await;
    };
    let limits = Arc::clone(&app.limits.0);
    let address = client::address(request.extensions(), request.headers(), &limits.trusted_proxies);
    let address = Subject::address(address);
    let known = Origin::asked_by(address, authenticate(request.headers(), app)).await;
    let caller = known.as_ref().map_or(address, |caller| Subject::User(caller.user));
    request.extensions_mut().insert(Authenticated(known));

    let mut told = Told::default();
    for (limit, subject) in limits.of(request.method(), path, address, caller) {
        let decision = limit.take(subject).await;
        told.add(limit.rule(), decision);
        if !decision.allowed {
            app.metrics.http.refused(limit.rule().name, request.method().as_str(), path);
            let mut refusal = refused(limit.rule(), decision).into_response();
            told.write(refusal.headers_mut());
            return refusal;
        }
    }
    let charged = Arc::new(OnceLock::new());
    let charge = Charge { limits: Arc::clone(&limits), subject: caller, charged: Arc::clone(&charged) };
    request.extensions_mut().insert(charge);
    let mut response = Origin::asked_by(caller, answer(request)).await;
    if let (Some(quick), Some(decision)) = (&limits.quick, charged.get()) {
        told.add(quick.rule(), *decision);
        if !decision.allowed {
            app.metrics.http.refused(quick.rule().name, "POST", path);
        }
    }
    told.write(response.headers_mut());
    response
}

fn refused(rule: &Rule, decision: Decision) -> Problem {
    tracing::info!(limit = rule.name, "a request was refused by a rate limit");
    let detail = "too many requests; wait as long as Retry-After says";
    Problem::too_many("rate_limited", detail, decision.retry_after)
}

/// Evaluations of an analysis that a unit of the limit `quick` pays for.
const EVALUATIONS: u64 = 10_000;

/// Plants of a batch that a unit pays for: in a batch, one costs little more than its calculation.
const PLANTS: u64 = 10;

/// Takes what a request costs beyond the unit that every request costs, once its body tells.
#[derive(Clone)]
pub(crate) struct Charge {
    limits: Arc<Inner>,
    subject: Subject,
    /// What came of it, for the headers of the answer.
    charged: Arc<OnceLock<Decision>>,
}

impl Charge {
    /// Pays for an analysis of so many evaluations.
    pub async fn evaluations(&self, evaluations: u64) -> Result<(), Problem> {
        self.take(evaluations / EVALUATIONS).await
    }

    /// Pays for a batch of so many plants.
    pub async fn plants(&self, plants: usize) -> Result<(), Problem> {
        self.take(plants as u64 / PLANTS).await
    }

    async fn take(&self, units: u64) -> Result<(), Problem> {
        let units = NonZeroU32::new(u32::try_from(units).unwrap_or(u32::MAX));
        let (Some(units), Some(limit)) = (units, &self.limits.quick) else { return Ok(()) };
        // One unit is taken already: so much that the dearest request can be paid for out of a full bucket.
        let most = NonZeroU32::new(limit.rule().burst.get() - 1);
        let Some(units) = most.map(|most| units.min(most)) else { return Ok(()) };
        let decision = limit.take_units(self.subject, units).await;
        let _ = self.charged.set(decision);
        if decision.allowed { Ok(()) } else { Err(refused(limit.rule(), decision)) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Charge {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let charge = parts.extensions.get::<Self>().cloned();
        charge.ok_or_else(|| Problem::defect(&std::io::Error::other("the request passed no limits")))
    }
}

/// What a client is told of its limits (draft-ietf-httpapi-ratelimit-headers-09).
#[derive(Default)]
struct Told(Vec<(Rule, Decision)>);

impl Told {
    /// Adds a decision; one by the same rule takes the place of the former.
    fn add(&mut self, rule: &Rule, decision: Decision) {
        match self.0.iter_mut().find(|(known, _)| known == rule) {
            Some((_, former)) => *former = decision,
            None => self.0.push((*rule, decision)),
        }
    }

    fn write(&self, headers: &mut HeaderMap) {
        let policy = |(Rule { name, burst, window }, _): &(Rule, Decision)| {
            format!("\"{name}\";q={burst};w={}", window.as_secs())
        };
        let left = |(rule, decision): &(Rule, Decision)| {
            let Decision { remaining, .. } = decision;
            format!("\"{}\";r={remaining};t={}", rule.name, whole_seconds(until_full(rule, *decision)))
        };
        let policies: Vec<_> = self.0.iter().map(policy).collect();
        let left: Vec<_> = self.0.iter().map(left).collect();
        for (name, items) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, left)] {
            if let Ok(value) = HeaderValue::from_str(&items.join(", "))
                && !items.is_empty()
            {
                headers.insert(name, value);
            }
        }
    }
}

/// When the whole burst will be there again, at the latest; after a refusal, when one will be.
fn until_full(rule: &Rule, decision: Decision) -> Duration {
    if !decision.allowed {
        return decision.retry_after;
    }
    rule.interval() * rule.burst.get().saturating_sub(decision.remaining)
}

#[cfg(test)]
mod tests {
    use safire_domain::{Timestamp, UserId};

    use super::*;

    fn limits() -> Limits {
        let settings = Settings {
            login_per_minute: 5,
            register_per_hour: 3,
            refresh_per_minute: 0,
            calculate_per_minute: 10,
            quick_per_minute: 120,
            requests_per_minute: 600,
            trusted_proxies: Vec::new(),
        };
        Limits::new(settings, None)
    }

    fn names(method: Method, path: &str) -> Vec<(&'static str, bool)> {
        let (address, user) = (Subject::address([192, 0, 2, 1].into()), UserId::new(Timestamp::UNIX_EPOCH));
        let limits = limits();
        let of = limits.0.of(&method, path, address, Subject::User(user));
        of.into_iter().map(|(limit, subject)| (limit.rule().name, subject == address)).collect()
    }

    #[test]
    fn each_route_counts_against_its_own_limit_and_the_general_one() {
        assert_eq!(names(Method::POST, "/api/v1/auth/login"), [("login", true), ("requests", false)]);
        assert_eq!(names(Method::POST, "/api/v1/auth/register"), [("register", true), ("requests", false)]);
        let calculate = [("calculate", false), ("requests", false)];
        assert_eq!(names(Method::POST, "/api/v1/scenarios/{id}/calculate"), calculate);
        assert_eq!(names(Method::POST, "/api/v1/scenarios/{id}/calculate/sync"), calculate);
        assert_eq!(names(Method::POST, "/api/v1/scenarios/{id}/runs/{run_id}/retry"), calculate);
        assert_eq!(names(Method::POST, "/api/v1/calculate/quick"), [("quick", false), ("requests", false)]);
        assert_eq!(names(Method::POST, "/api/v1/calculate:batch"), [("quick", false), ("requests", false)]);
        assert_eq!(names(Method::DELETE, "/api/v1/scenarios/{id}/calculate"), [("requests", false)]);
        assert_eq!(names(Method::GET, "/api/v1/projects"), [("requests", false)]);
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        assert_eq!(names(Method::POST, "/api/v1/auth/refresh"), [("requests", false)]);
    }

    #[test]
    fn a_client_is_told_its_policy_and_what_is_left() {
        let limits = limits();
        let rule = *limits.0.login.as_ref().unwrap().rule();
        let mut told = Told::default();
        let other = Rule { name: "requests", ..rule };
        told.add(&rule, Decision { allowed: true, remaining: 4, retry_after: Duration::ZERO });
        told.add(&other, Decision { allowed: false, remaining: 0, retry_after: Duration::from_millis(11_001) });
        told.add(&rule, Decision { allowed: true, remaining: 3, retry_after: Duration::ZERO });
        let mut headers = HeaderMap::new();
        told.write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], r#""login";q=5;w=60, "requests";q=5;w=60"#);
        assert_eq!(headers["ratelimit"], r#""login";r=3;t=24, "requests";r=0;t=12"#);
    }
}
