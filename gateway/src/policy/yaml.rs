//! YAML text to a tree in which every key and value knows its line and column.
//!
//! A `serde` deserializer stops at the first mistake; this tree lets the decoder go on and report them all.
//! Scalars stay text: what a value is follows from the key it stands at, so `no`, `1e3` or `010` never turn
//! into something the writer did not mean.
//!
//! *Hostile input.* Nesting and the number of nodes are bounded; an alias counts for everything it stands
//! for, so an alias bomb ends as soon as the bound is reached. Nothing recurses deeper than [`DEPTH_MAX`].

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Span, StrInput};
use std::borrow::Cow;
use std::collections::HashMap;

/// Lists and mappings inside one another. The policy's own shape needs 7.
const DEPTH_MAX: usize = 32;
/// Keys, values, lists and mappings of one file. 100,000 tenants of two users take about 4 million.
const NODES_MAX: usize = 12_000_000;
/// What all aliases of one file may stand for, in nodes.
const ALIASED_MAX: usize = 100_000;

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub line: u32,
    pub column: u32,
}

/// A value and where it starts.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    pub mark: Mark,
    pub value: Value<'a>,
}

/// What a value is, before anybody asks what it should be.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// Nothing written, `~` or `null`.
    Null,
    /// A scalar.
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// In the order written; keys may repeat: the decoder reports it.
    Map(Vec<(Key<'a>, Node<'a>)>),
}

/// A key of a mapping and where it starts.
#[derive(Debug, Clone)]
pub struct Key<'a> {
    pub mark: Mark,
    pub name: Cow<'a, str>,
}

/// Why a text is not a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub mark: Mark,
    pub what: String,
    pub help: &'static str,
}

/// Reads every document of a file. An empty file has none.
///
/// # Errors
/// [`Refused`]: where it stops being YAML, or goes beyond a bound.
pub fn parse(text: &str) -> Result<Vec<Node<'_>>, Refused> {
    let mut options =
        granit_parser::options! { flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX };
    options.set_emit_comments(false);
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        nodes_left: NODES_MAX,
        aliased_left: ALIASED_MAX,
    };
    let mut documents = Vec::new();
    loop {
        let (event, mark) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentStart(..) => {}
            Event::DocumentEnd => reader.anchors.clear(),
            event => documents.push(reader.node(event, mark, 0)?),
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node<'a>>,
    nodes_left: usize,
    aliased_left: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Mark), Refused> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, mark(&span))),
            Some(Err(error)) => Err(refused(&error)),
            None => Ok((Event::StreamEnd, Mark { line: 1, column: 1 })),
        }
    }

    /// The node that `event` opens.
    fn node(&mut self, event: Event<'a>, mark: Mark, depth: usize) -> Result<Node<'a>, Refused> {
        if depth > DEPTH_MAX {
            return Err(stop(mark, "nested too deeply"));
        }
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or_else(|| stop(mark, "too many values"))?;
        let (anchor, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor, mark),
            Event::Scalar(text, style, anchor, tag) => {
                no_tag(tag.is_some(), mark)?;
                (anchor, scalar(text, style))
            }
            Event::SequenceStart(_, anchor, tag) => {
                no_tag(tag.is_some(), mark)?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                no_tag(tag.is_some(), mark)?;
                (anchor, self.map(depth)?)
            }
            _ => return Err(stop(mark, "not a value")),
        };
        let node = Node { mark, value };
        if anchor != 0 {
            self.spend(&node, mark)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, Refused> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, mark) => items.push(self.node(event, mark, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value<'a>, Refused> {
        let mut entries = Vec::new();
        loop {
            let (event, mark) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let Value::Text(name) = self.node(event, mark, depth + 1)?.value else {
                return Err(stop(mark, "a key must be a plain word"));
            };
            let (event, value_mark) = self.next()?;
            entries.push((Key { mark, name }, self.node(event, value_mark, depth + 1)?));
        }
    }

    /// What the alias stands for, placed where it was anchored: that is where a mistake in it is mended.
    fn alias(&mut self, anchor: usize, mark: Mark) -> Result<Node<'a>, Refused> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(stop(mark, "an alias inside what it stands for"));
        };
        self.spend(&node, mark)?;
        Ok(node)
    }

    fn spend(&mut self, node: &Node<'_>, mark: Mark) -> Result<(), Refused> {
        let left = self.aliased_left.checked_sub(size(node));
        self.aliased_left = left.ok_or_else(|| stop(mark, "aliases stand for too much"))?;
        Ok(())
    }
}

fn scalar<'a>(text: Cow<'a, str>, style: ScalarStyle) -> Value<'a> {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text.as_ref(), "" | "~" | "null") { Value::Null } else { Value::Text(text) }
}

fn size(node: &Node<'_>) -> usize {
    1 + match &node.value {
        Value::Null | Value::Text(_) => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| 1 + size(node)).sum(),
    }
}

fn mark(span: &Span) -> Mark {
    Mark { line: span.start.line() as u32, column: span.start.col() as u32 + 1 }
}

fn no_tag(tagged: bool, mark: Mark) -> Result<(), Refused> {
    if tagged { Err(stop(mark, "tags (`!...`) are not part of a policy")) } else { Ok(()) }
}

fn stop(mark: Mark, what: &str) -> Refused {
    Refused { mark, what: what.to_string(), help: "write it out plainly" }
}

/// The parser's messages describe the grammar; at most one character of the file is in them.
fn refused(error: &granit_parser::ScanError) -> Refused {
    let at = error.marker();
    Refused {
        mark: Mark { line: at.line() as u32, column: at.col() as u32 + 1 },
        what: format!("not YAML: {}", error.kind()),
        help: "check quotes, brackets and indentation up to this line; is the file complete?",
    }
}
