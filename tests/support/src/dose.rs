//! How much is broken: a little in every run of the tests, as much as is promised when that is asked for.

/// Whether `SAFIRE_CHAOS=full` asks for the full doses.
pub fn full() -> bool {
    std::env::var("SAFIRE_CHAOS").is_ok_and(|dose| dose == "full")
}

/// The small dose, or the full one.
pub fn dose<T>(small: T, large: T) -> T {
    if full() { large } else { small }
}
