//! Words of command lines that a person is told to type.

/// As one word for a shell.
pub fn quoted(text: &str) -> String {
    // Only a zero byte cannot be quoted, and no argument or path has one.
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!([quoted("a.toml"), quoted("x@1"), quoted("my sweep.toml")], ["a.toml", "x@1", "'my sweep.toml'"]);
    }
}
