//! argon2id in memory that is kept: the blocks that one hash was computed in serve the next.

use std::sync::{Mutex, MutexGuard};

use argon2::{
    Algorithm, Argon2, Block, Error, Params, Version,
    password_hash::{
        self, CustomizedPasswordHasher, PasswordHasher,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};

pub(super) struct Hasher {
    argon2: Argon2<'static>,
    /// Blocks that nobody hashes in. The last ones are taken first: of sign-ins that follow each other
    /// all use the same ones.
    kept: Mutex<Vec<Vec<Block>>>,
}

impl Hasher {
    pub fn new(params: Params) -> Self {
        Self { argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params), kept: Mutex::default() }
    }

    pub fn params(&self) -> &Params {
        self.argon2.params()
    }

    /// Gives back the memory that nobody hashes in.
    pub fn release(&self) {
        self.kept().clear();
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn output(&self, argon2: &Argon2<'_>, password: &[u8], salt: &[u8]) -> password_hash::Result<Output> {
        let mut bytes = [0; Output::MAX_LENGTH];
        let length = argon2.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = bytes.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        let mut blocks = self.take(argon2.params().block_count())?;
        let hashed = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks);
        self.keep(blocks);
        hashed?;
        Ok(Output::new(output)?)
    }

    /// At least `count` blocks: those kept, if they are enough.
    fn take(&self, count: usize) -> Result<Vec<Block>, Error> {
        let kept = self.kept().pop().filter(|blocks| blocks.len() >= count);
        kept.map_or_else(|| allocated(count.max(self.params().block_count())), Ok)
    }

    /// Keeps blocks of today's size. What is left in them of a password is wiped.
    fn keep(&self, mut blocks: Vec<Block>) {
        if blocks.len() == self.params().block_count() {
            blocks.fill(Block::new());
            self.kept().push(blocks);
        }
    }
}

fn allocated(count: usize) -> Result<Vec<Block>, Error> {
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(count).map_err(|_| Error::OutOfMemory)?;
    blocks.resize(count, Block::new());
    Ok(blocks)
}

impl PasswordHasher<PasswordHash> for Hasher {
    fn hash_password_with_salt(&self, password: &[u8], salt: &[u8]) -> password_hash::Result<PasswordHash> {
        self.hash_password_customized(password, salt, None, None, self.params().clone())
    }
}

impl CustomizedPasswordHasher<PasswordHash> for Hasher {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        let hash = self.output(&Argon2::new(algorithm, version, params.clone()), password, salt)?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(Salt::new(salt)?),
            hash: Some(hash),
        })
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier;

    use super::*;

    const PASSWORD: &[u8] = b"a long password";

    fn params(memory_kib: u32) -> Params {
        Params::new(memory_kib, 2, 1, None).unwrap()
    }

    fn verifies(hasher: &impl PasswordVerifier<PasswordHash>, password: &[u8], hash: &PasswordHash) -> bool {
        hasher.verify_password(password, hash).is_ok()
    }

    #[test]
    fn hashes_in_kept_memory_are_those_that_argon2_computes() {
        let hasher = Hasher::new(params(16));
        let plain = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(16));
        for salt in [b"the first salt", b"the other salt"] {
            let hash = hasher.hash_password_with_salt(PASSWORD, salt).unwrap();
            assert_eq!(hash, plain.hash_password_with_salt(PASSWORD, salt).unwrap());
        }
    }

    #[test]
    fn a_hash_verifies_by_its_own_parameters_whatever_memory_is_kept() {
        let hasher = Hasher::new(params(16));
        for (algorithm, version, memory_kib) in [
            (Algorithm::Argon2id, Version::V0x13, 8),
            (Algorithm::Argon2i, Version::V0x13, 16),
            (Algorithm::Argon2d, Version::V0x10, 64),
            (Algorithm::Argon2id, Version::V0x13, 16),
        ] {
            let of_another = Argon2::new(algorithm, version, params(memory_kib));
            let hash = PasswordHasher::<PasswordHash>::hash_password(&of_another, PASSWORD).unwrap();
            assert!(verifies(&hasher, PASSWORD, &hash), "{hash}");
            assert!(!verifies(&hasher, b"another password", &hash), "{hash}");
        }
    }

    #[test]
    fn hashes_that_follow_each_other_share_one_block_of_memory_which_is_wiped() {
        let hasher = Hasher::new(params(16));
        for password in [PASSWORD, b"another password"] {
            hasher.hash_password(password).unwrap();
        }
        let kept = hasher.kept().clone();
        assert_eq!(kept.iter().map(Vec::len).collect::<Vec<_>>(), [16]);
        assert!(kept.iter().flatten().flat_map(|block| block.as_ref()).all(|word| *word == 0));
        hasher.release();
        assert!(hasher.kept().is_empty());
    }

    #[test]
    fn memory_for_a_stronger_hash_is_not_kept() {
        let stronger = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(64));
        let hash = PasswordHasher::<PasswordHash>::hash_password(&stronger, PASSWORD).unwrap();
        let hasher = Hasher::new(params(16));
        assert!(verifies(&hasher, PASSWORD, &hash));
        assert!(hasher.kept().is_empty());
    }
}
