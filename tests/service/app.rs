//! The service under test.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use safire::{
    config::{Config, Limits, SecretUrl},
    service::{Ended, Parts, Service},
};
use safire_actors::calculations::{Compute, base_analysis};
use safire_test_support::TestDatabase;
pub use safire_test_support::{BUSY, PATIENCE};
use tempfile::TempDir;

pub use crate::client::{Answer, Client, PASSWORD, eventually, first_error, form, id, of_capacity, with_an_id};

pub const SECRET: &str = "a key that only the tests of Safire know";
pub const ADMIN: (&str, &str) = ("admin@safire.local", "the administrator's password");

/// Capacities, in t/yr, that [`poisoned`] knows.
pub const PANICS: f64 = 1.0;
pub const ENDLESS: f64 = 2.0;

/// The engine, but [`PANICS`] panics and [`ENDLESS`] calculates until it is called off.
pub fn poisoned() -> Arc<Compute> {
    let engine = base_analysis();
    Arc::new(move |inputs, cancel| {
        match inputs.plant.capacity_t_per_yr {
            PANICS => panic!("a poisoned input"),
            ENDLESS => {
                while !cancel.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(1))
                }
            }
            _ => {}
        }
        engine(inputs, cancel)
    })
}

/// A running service. It has to be stopped, so that what it leaves behind fails the test.
pub struct TestApp {
    service: Option<Service>,
    anonymous: Client,
    _files: TempDir,
}

impl TestApp {
    /// The service on that database.
    pub async fn start(database: &TestDatabase) -> Self {
        Self::with(database, |_, _| {}).await
    }

    /// The service with another configuration or other parts.
    pub async fn with(database: &TestDatabase, adapt: impl FnOnce(&mut Config, &mut Parts)) -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let mut config = Config { data_dir: files.path().to_owned(), ..Config::default() };
        config.database.url = SecretUrl::from(database.url().to_owned());
        config.database.connections = 4;
        // What a test asks is answered, however busy the machine is.
        config.database.acquire_timeout_ms = PATIENCE.as_millis() as u64 / 4;
        config.http.port = 0;
        config.metrics.port = 0;
        config.calculations.threads = 2;
        config.auth.jwt_secret = Some(SECRET.into());
        config.auth.argon2_memory_kib = 64;
        config.auth.argon2_iterations = 1;
        config.admin.email = ADMIN.0.into();
        config.admin.password = Some(ADMIN.1.into());
        config.shutdown.drain_s = 5;
        config.shutdown.linger_ms = 0;
        config.limits = Limits::OFF;
        let mut parts = Parts { compute: poisoned(), ..Parts::default() };
        adapt(&mut config, &mut parts);
        let service = Service::start(&config, parts).await.expect("the service starts");
        let anonymous = Client::of(format!("http://{}", service.address()));
        Self { service: Some(service), anonymous, _files: files }
    }

    /// Somebody without a token.
    pub fn anonymous(&self) -> Client {
        self.anonymous.clone()
    }

    /// A new analyst, signed in.
    pub async fn register(&self) -> Client {
        self.anonymous().register().await
    }

    /// The administrator, signed in.
    pub async fn as_admin(&self) -> Client {
        self.anonymous().login(ADMIN.0, ADMIN.1).await
    }

    pub fn service(&self) -> &Service {
        self.service.as_ref().expect("it was not stopped yet")
    }

    /// Stops the service; nothing may be left unfinished.
    pub async fn stop(self) {
        let ended = self.drain().await;
        assert_eq!(ended.handed_back, Some(0), "runs were left unfinished");
    }

    /// The bare service, which is then somebody else's to stop.
    pub fn release(mut self) -> Service {
        self.service.take().expect("it was not stopped yet")
    }

    /// Stops the service.
    pub async fn drain(mut self) -> Ended {
        let service = self.service.take().expect("it was not stopped yet");
        let ended = service.drain().await;
        let after = self.anonymous.try_raw(Method::GET, "/health/live", None, "").await;
        assert!(after.is_err(), "a service that has stopped still answers");
        ended
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        assert!(self.service.is_none() || std::thread::panicking(), "the test did not stop its service");
    }
}
