//! What is believed of a source: the last good set, and what became of the last question. Pure.

use super::Found;
use crate::upstream::networks::Networks;
use std::net::IpAddr;
use std::sync::Arc;

/// So many answers in a row that name nobody are believed. One may be a service that is just being replaced.
const EMPTY_BELIEVED: u32 = 3;

/// What is known. Time is a parameter, in milliseconds of the monotonic clock.
#[derive(Debug, Default)]
pub struct Standing {
    /// The last good set.
    pub found: Arc<[Found]>,
    /// Counts up with every other set.
    pub version: u64,
    /// When it was found to be so, last.
    pub good_ms: Option<u64>,
    /// Answers so far, good or bad.
    pub answers: u64,
    /// Bad ones.
    pub failures: u64,
    /// Addresses of the last answer that are not used.
    pub refused: usize,
    /// What is wrong with the last answer.
    pub error: Option<Arc<str>>,
    empty: u32,
}

/// What an answer has changed, for the log.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Other backends than before.
    Changed {
        /// So many are new.
        come: usize,
        /// So many are no longer there.
        gone: usize,
    },
    /// It no longer answers as it should, or with another mistake.
    Failing(Arc<str>),
    /// It does again.
    Mended,
    /// It names addresses that are not used; the first, and why.
    Refused(IpAddr, &'static str),
}

impl Standing {
    /// Takes an answer in.
    pub fn hear(
        &mut self,
        answer: Result<Vec<Found>, String>,
        networks: &Networks,
        now_ms: u64,
    ) -> Vec<News> {
        self.answers += 1;
        let mut news = Vec::new();
        match answer.and_then(|all| self.judge(all, networks, &mut news)) {
            Ok(found) => {
                self.good_ms = Some(now_ms);
                if self.error.take().is_some() {
                    news.push(News::Mended);
                }
                news.extend(self.keep(found));
            }
            Err(why) => {
                self.failures += 1;
                if self.error.as_deref() != Some(&*why) {
                    let why: Arc<str> = why.into();
                    self.error = Some(why.clone());
                    news.push(News::Failing(why));
                }
            }
        }
        news
    }

    /// Other networks count from now on: what lies outside is let go of at once.
    pub fn confine(&mut self, networks: &Networks) -> Option<News> {
        let inside = self.found.iter().filter(|one| networks.why_not(one.ip).is_none());
        let inside = inside.cloned().collect();
        self.keep(inside)
    }

    /// What of an answer is used.
    fn judge(
        &mut self,
        mut all: Vec<Found>,
        networks: &Networks,
        news: &mut Vec<News>,
    ) -> Result<Vec<Found>, String> {
        let (said, before) = (all.len(), self.refused);
        let first = all.iter().find_map(|one| networks.why_not(one.ip).map(|why| (one.ip, why)));
        all.retain(|one| networks.why_not(one.ip).is_none());
        self.refused = said - all.len();
        if let (Some((ip, why)), true) = (first, self.refused != before) {
            news.push(News::Refused(ip, why));
        }
        match (all.is_empty(), first) {
            (false, _) => self.empty = 0,
            (true, Some((ip, why))) => {
                return Err(format!("none of its {said} addresses is used: {ip} is {why}; see `networks`"));
            }
            (true, None) => {
                self.empty += 1;
                if self.empty < EMPTY_BELIEVED && !self.found.is_empty() {
                    return Err("it names no backend; if it does so again, it is believed".into());
                }
            }
        }
        Ok(all)
    }

    fn keep(&mut self, found: Vec<Found>) -> Option<News> {
        if *found == *self.found {
            return None;
        }
        let missing = |from: &[Found], of: &[Found]| of.iter().filter(|one| !from.contains(one)).count();
        let news = News::Changed { come: missing(&self.found, &found), gone: missing(&found, &self.found) };
        self.found = found.into();
        self.version += 1;
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(last: &[u8]) -> Vec<Found> {
        last.iter().map(|n| Found::at([10, 0, 0, *n].into(), Some(80), 1)).collect()
    }

    fn hear(standing: &mut Standing, answer: Result<Vec<Found>, String>) -> Vec<News> {
        standing.hear(answer, &Networks::Private, 7)
    }

    #[test]
    fn a_failure_takes_nothing_away_and_is_told_once() {
        let mut standing = Standing::default();
        assert_eq!(hear(&mut standing, Ok(set(&[1, 2]))), [News::Changed { come: 2, gone: 0 }]);
        assert_eq!(hear(&mut standing, Err("no answer".into())), [News::Failing("no answer".into())]);
        assert_eq!(hear(&mut standing, Err("no answer".into())), []);
        assert_eq!(hear(&mut standing, Err("garbage".into())), [News::Failing("garbage".into())]);
        assert_eq!((standing.found.len(), standing.failures, standing.version), (2, 3, 1));
        assert_eq!(hear(&mut standing, Ok(set(&[1, 2]))), [News::Mended]);
        assert_eq!(hear(&mut standing, Ok(set(&[2, 3]))), [News::Changed { come: 1, gone: 1 }]);
        assert_eq!(standing.version, 2);
    }

    #[test]
    fn an_empty_answer_is_believed_the_third_time_in_a_row() {
        let mut standing = Standing::default();
        hear(&mut standing, Ok(set(&[1])));
        for answers in [vec![set(&[]), set(&[]), set(&[1])], vec![set(&[]), set(&[])]] {
            for answer in answers {
                hear(&mut standing, Ok(answer));
                assert_eq!(*standing.found, *set(&[1]));
            }
        }
        assert_eq!(hear(&mut standing, Ok(set(&[])))[1], News::Changed { come: 0, gone: 1 });
        assert!(standing.found.is_empty() && standing.error.is_none());
    }

    #[test]
    fn addresses_outside_the_networks_are_left_out_and_never_all_that_there_is() {
        let mut standing = Standing::default();
        let mut answer = set(&[1]);
        answer.push(Found::at([169, 254, 169, 254].into(), Some(80), 1));
        let news = hear(&mut standing, Ok(answer.clone()));
        assert!(matches!(news[0], News::Refused(ip, _) if ip.to_string() == "169.254.169.254"), "{news:?}");
        assert_eq!((&*standing.found, standing.refused), (&*set(&[1]), 1));
        assert_eq!(hear(&mut standing, Ok(answer.clone())), [], "told once");
        let news = hear(&mut standing, Ok(answer.split_off(1)));
        assert!(matches!(news.last(), Some(News::Failing(_))), "{news:?}");
        assert_eq!(&*standing.found, &*set(&[1]));
    }

    #[test]
    fn networks_that_shrink_count_at_once() {
        let mut standing = Standing::default();
        hear(&mut standing, Ok(set(&[1, 200])));
        let few = Networks::Only(["10.0.0.0/25".parse().unwrap()].into());
        assert_eq!(standing.confine(&few), Some(News::Changed { come: 0, gone: 1 }));
        assert_eq!(&*standing.found, &*set(&[1]));
        assert_eq!(standing.confine(&few), None);
    }

    proptest! {
        /// Whatever is said, a set that was good goes only for one that was said, or for three times nobody.
        #[test]
        fn a_good_set_goes_only_for_a_better_word(
            said in proptest::collection::vec(
                prop_oneof![
                    Just(Err("broken".to_owned())),
                    Just(Ok(Vec::new())),
                    proptest::collection::vec(1u8..4, 1..3).prop_map(|last| super::super::whole(set(&last))),
                ],
                1..40,
            ),
        ) {
            let mut standing = Standing::default();
            let (mut good, mut nobody) = (Vec::new(), 0);
            for answer in said {
                match &answer {
                    Ok(set) if set.is_empty() => nobody += 1,
                    Ok(set) => (good, nobody) = (set.clone(), 0),
                    Err(_) => {}
                }
                if nobody >= EMPTY_BELIEVED {
                    good.clear();
                }
                hear(&mut standing, answer);
                prop_assert_eq!(&*standing.found, &*good);
            }
        }
    }
}
