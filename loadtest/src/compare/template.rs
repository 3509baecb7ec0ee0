//! Template: a peer's configuration with `@name@` in place of what differs from run to run.

/// Fills in every `@name@`; what has no value stays, and so becomes the peer's complaint.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_wherever_they_stand() {
        let filled = fill("listen @host@:@port@; # @host@, @sic@, a@b", &[("host", "here"), ("port", "1")]);
        assert_eq!(filled, "listen here:1; # here, @sic@, a@b");
    }
}
