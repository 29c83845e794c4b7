//! Passwords, hashed with argon2id on threads of their own, a few at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use argon2::{
    Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use safire_domain::name::normalised_password;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

use super::{BadSettings, Checked, Settings, hasher::Hasher};
use crate::Problem;

/// How long nobody signs in before the memory that hashes are computed in is given back.
const QUIET: Duration = Duration::from_secs(5);

pub(super) struct Passwords {
    threads: Threads,
}

struct Inner {
    hasher: Hasher,
    /// The hash of nobody's password: checked for unknown users, so that they take as long as known
    /// ones.
    nobody: String,
}

impl Passwords {
    pub fn new(settings: &Settings) -> Result<Self, BadSettings> {
        let params = Params::new(settings.memory_kib, settings.iterations, 1, None).map_err(BadSettings::Argon2)?;
        let hasher = Hasher::new(params);
        let nobody = hash(&hasher, "nobody's password").map_err(BadSettings::Hash)?;
        hasher.release();
        let threads = Threads::start(settings.permits, Arc::new(Inner { hasher, nobody }));
        Ok(Self { threads: threads.map_err(BadSettings::Threads)? })
    }

    pub async fn hash(&self, password: SecretString) -> Result<String, Problem> {
        self.beside(move |inner| hash(&inner.hasher, password.expose_secret()))
            .await?
            .map_err(|error| Problem::defect(&error))
    }

    pub async fn check(&self, password: SecretString, hash: Option<String>) -> Result<Checked, Problem> {
        self.beside(move |inner| inner.check(password.expose_secret(), hash.as_deref())).await
    }

    async fn beside<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Result<T, Problem> {
        let (reply, result) = oneshot::channel();
        self.threads.submit(Box::new(move |inner| drop(reply.send(work(inner)))));
        result.await.map_err(|error| Problem::defect(&error))
    }
}

type Job = Box<dyn FnOnce(&Inner) + Send>;

/// A few threads that only hash: each hash takes a core and `memory_kib`.
struct Threads(mpsc::Sender<Job>);

impl Threads {
    fn start(number: usize, inner: Arc<Inner>) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let inbox = Arc::new(Mutex::new(inbox));
        for _ in 0..number {
            let (inbox, inner) = (Arc::clone(&inbox), Arc::clone(&inner));
            thread::Builder::new().name("password".into()).spawn(move || {
                while let Some(job) = next(&inbox, &inner.hasher) {
                    // What panics drops its reply, and its caller is told.
                    let _ = catch_unwind(AssertUnwindSafe(|| job(&inner)));
                }
            })?;
        }
        Ok(Self(jobs))
    }

    fn submit(&self, job: Job) {
        // Threads end when nobody can submit; until then somebody receives.
        let _ = self.0.send(job);
    }
}

fn next(inbox: &Mutex<mpsc::Receiver<Job>>, hasher: &Hasher) -> Option<Job> {
    let inbox = inbox.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    inbox.recv_timeout(QUIET).ok().or_else(|| {
        hasher.release();
        inbox.recv().ok()
    })
}

impl Inner {
    fn check(&self, password: &str, stored: Option<&str>) -> Checked {
        let wrong = Checked { right: false, rehashed: None };
        let Ok(against) = PasswordHash::new(stored.unwrap_or(&self.nobody)) else { return wrong };
        let is_of = |text: &str| self.hasher.verify_password(text.as_bytes(), &against).is_ok();
        let normalised = normalised(password);
        let is_normalised = is_of(normalised.expose_secret());
        // Passwords were once hashed as they were entered.
        let matches = is_normalised || (normalised.expose_secret() != password && is_of(password));
        if stored.is_none() || !matches {
            return wrong;
        }
        let is_old = !is_normalised || self.is_weaker(&against);
        let rehashed = is_old.then(|| hash(&self.hasher, password).ok()).flatten();
        Checked { right: true, rehashed }
    }

    fn is_weaker(&self, hash: &PasswordHash) -> bool {
        let today = self.hasher.params();
        Params::try_from(hash).is_ok_and(|then| then.m_cost() < today.m_cost() || then.t_cost() < today.t_cost())
    }
}

fn hash(hasher: &Hasher, password: &str) -> argon2::password_hash::Result<String> {
    Ok(hasher.hash_password(normalised(password).expose_secret().as_bytes())?.to_string())
}

fn normalised(password: &str) -> SecretString {
    normalised_password(password).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::token::tests::settings;

    fn passwords(memory_kib: u32, iterations: u32) -> Passwords {
        Passwords::new(&Settings { memory_kib, iterations, ..settings() }).unwrap()
    }

    async fn check(passwords: &Passwords, password: &str, hash: Option<&str>) -> (bool, Option<String>) {
        let Checked { right, rehashed } = passwords.check(password.into(), hash.map(str::to_owned)).await.unwrap();
        (right, rehashed)
    }

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = passwords(8, 1);
        let hash = passwords.hash("a long password".into()).await.unwrap();
        assert_eq!(check(&passwords, "a long password", Some(&hash)).await, (true, None));
        assert_eq!(check(&passwords, "another password", Some(&hash)).await, (false, None));
        assert_eq!(check(&passwords, "nobody's password", None).await, (false, None));
        assert_eq!(check(&passwords, "a long password", Some("rubbish")).await, (false, None));
    }

    #[tokio::test]
    async fn a_right_password_is_hashed_again_when_the_parameters_rose() {
        let old = passwords(8, 1).hash("a long password".into()).await.unwrap();
        for today in [passwords(16, 1), passwords(8, 2)] {
            let (right, rehashed) = check(&today, "a long password", Some(&old)).await;
            let rehashed = rehashed.expect("is hashed again");
            assert!(right && rehashed != old);
            assert_eq!(check(&today, "a long password", Some(&rehashed)).await, (true, None));
            assert_eq!(check(&today, "a wrong password", Some(&old)).await, (false, None));
        }
    }

    #[tokio::test]
    async fn a_password_is_right_however_its_letters_are_composed_and_old_hashes_are_replaced() {
        let passwords = passwords(8, 1);
        let (composed, decomposed) = ("M\u{fc}ller passw\u{f6}rt", "Mu\u{308}ller passwo\u{308}rt");
        let today = passwords.hash(decomposed.into()).await.unwrap();
        for entered in [composed, decomposed] {
            assert_eq!(check(&passwords, entered, Some(&today)).await, (true, None), "{entered:?}");
        }
        // As it was entered: what was hashed before passwords were normalised.
        let hasher = Hasher::new(Params::new(8, 1, 1, None).unwrap());
        let old = hasher.hash_password(decomposed.as_bytes()).unwrap().to_string();
        let (right, rehashed) = check(&passwords, decomposed, Some(&old)).await;
        let rehashed = rehashed.expect("is hashed again");
        assert!(right);
        assert_eq!(check(&passwords, composed, Some(&rehashed)).await, (true, None));
        let of_composed = hasher.hash_password(composed.as_bytes()).unwrap().to_string();
        assert_eq!(check(&passwords, decomposed, Some(&of_composed)).await, (true, None));
        assert_eq!(check(&passwords, "Muller passwort", Some(&old)).await, (false, None));
    }

    #[tokio::test]
    async fn a_hash_stronger_than_todays_is_left_as_it_is() {
        let old = passwords(16, 2).hash("a long password".into()).await.unwrap();
        assert_eq!(check(&passwords(8, 1), "a long password", Some(&old)).await, (true, None));
    }
}
