//! The common name in a certificate's subject, which the certificate library does not read.

/// DER tags (X.690 section 8.1.2).
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// id-at-commonName, 2.5.4.3 (RFC 5280 appendix A.1).
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The common name in `subject`, the inside of a DER `Name`. None if there is none, or more than one: two names are
/// two readings.
pub fn common_name(subject: &[u8]) -> Option<&str> {
    let mut names = Elements(subject).filter(|(tag, _)| *tag == SET).flat_map(|(_, set)| {
        Elements(set).filter_map(|(tag, attribute)| (tag == SEQUENCE).then(|| common_name_of(attribute))?)
    });
    let name = names.next()?;
    names.next().is_none().then_some(name)
}

fn common_name_of(attribute: &[u8]) -> Option<&str> {
    let mut parts = Elements(attribute);
    let (OBJECT_ID, id) = parts.next()? else { return None };
    let (UTF8_STRING | PRINTABLE_STRING | IA5_STRING, text) = parts.next()? else { return None };
    if id != COMMON_NAME { None } else { std::str::from_utf8(text).ok() }
}

/// Tags and contents that follow one another; ends where they are not DER.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, length], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
            0x82 => rest.split_first_chunk::<2>().map(|(l, rest)| (u16::from_be_bytes(*l).into(), rest))?,
            _ => return None, // no name is longer
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, content.len() as u8], content].concat()
    }

    fn attribute(id: &[u8], tag: u8, text: &str) -> Vec<u8> {
        let inside = [element(OBJECT_ID, id), element(tag, text.as_bytes())].concat();
        element(SET, &element(SEQUENCE, &inside))
    }

    #[test]
    fn the_common_name_is_found_among_others() {
        let subject = [
            attribute(&[0x55, 0x04, 0x06], PRINTABLE_STRING, "CN"),
            attribute(&[0x55, 0x04, 0x0a], UTF8_STRING, "Acme"),
            attribute(&COMMON_NAME, UTF8_STRING, "billing"),
        ];
        assert_eq!(common_name(&subject.concat()), Some("billing"));
        assert_eq!(common_name(&subject[..2].concat()), None);
    }

    #[test]
    fn two_common_names_are_none() {
        let one = attribute(&COMMON_NAME, UTF8_STRING, "a");
        assert_eq!(common_name(&[one.clone(), one].concat()), None);
    }

    #[test]
    fn a_certificate_made_by_a_library_is_read() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Acme");
        params.distinguished_name.push(rcgen::DnType::CommonName, "batch.acme");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let certificate = webpki::EndEntityCert::try_from(certificate.der()).unwrap();
        assert_eq!(common_name(certificate.subject()), Some("batch.acme"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = common_name(&bytes);
            let _ = common_name(&element(SET, &element(SEQUENCE, &bytes)));
        }
    }
}
