//! JSON pointers (RFC 6901).

/// `token` as one step of a pointer.
pub(crate) fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// The token that one step of a pointer stands for.
pub(crate) fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_code_with_a_slash_or_a_tilde_is_still_one_step() {
        assert_eq!(super::escaped("a/b~c"), "a~1b~0c");
        assert_eq!(super::unescaped("a~1b~0c"), "a/b~c");
    }
}
