//! Memory that is no longer used goes back to the system.

/// Makes the allocator of the GNU C library give back a large block when it is freed.
///
/// Left to itself it learns from the first one that such blocks come and go, and keeps the next: for each
/// thread that hashed a password, the 19 MiB of one hash.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, 8 << 20), (libc::M_TRIM_THRESHOLD, 1 << 20)] {
        set(parameter, bytes);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no other way to say it")]
fn set(parameter: libc::c_int, bytes: libc::c_int) {
    // SAFETY: it takes two numbers, and an allocator that refuses them stays as it was.
    unsafe { libc::mallopt(parameter, bytes) };
}
