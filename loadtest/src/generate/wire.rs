//! Wire: the connection on which a lane sends its next request.
//!
//! An HTTP/1.1 connection belongs to one lane. An HTTP/2 connection is shared by as many lanes as it may have streams; the
//! first that needs it makes it, and the others wait for that.

use std::rc::Rc;

use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::Mutex;

use super::connect::{Asked, Connection, Dialer, Reason};

/// An HTTP/2 connection between lanes. Its lock is held while a connection is made: that is what the others wait for.
pub type Shared = Rc<Mutex<Option<Connection>>>;

/// A lane's way to the target.
pub struct Wire {
    connection: Option<Connection>,
    shared: Option<Shared>,
}

/// How old a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Made for the request at hand.
    New,
    /// Has served before, so that it may end just when the next request is sent.
    Used,
}

impl Wire {
    /// A wire without a connection yet; `shared` if it has no connection to itself.
    pub fn new(shared: Option<Shared>) -> Wire {
        Wire { connection: None, shared }
    }

    /// Waits for a connection that takes a request.
    ///
    /// # Errors
    /// None could be made.
    pub async fn ready(&mut self, dialer: &Dialer) -> Result<Age, Reason> {
        if let Some(connection) = &mut self.connection
            && connection.ready().await
        {
            return Ok(Age::Used);
        }
        self.connection = None;
        let Some(shared) = &self.shared else {
            self.connection = Some(dialer.dial().await?);
            return Ok(Age::New);
        };
        let mut shared = shared.lock().await;
        if let Some(open) = shared.as_ref().filter(|open| !open.is_closed()) {
            self.connection = open.share();
            return Ok(Age::Used);
        }
        let made = dialer.dial().await?;
        self.connection = made.share();
        *shared = Some(made);
        Ok(Age::New)
    }

    /// Sends, and waits for the head of the answer. To be called when [`Wire::ready`].
    ///
    /// # Errors
    /// As the HTTP library says; it hands the request back if nothing of it was sent.
    pub async fn send(&mut self, request: Asked) -> Result<Response<Incoming>, TrySendError<Asked>> {
        self.connection.as_mut().expect("`ready` has left one").send(request).await
    }

    /// Whether the connection has ended, so that what failed on it says nothing about the request.
    pub fn is_closed(&self) -> bool {
        self.connection.as_ref().is_none_or(Connection::is_closed)
    }

    /// Ends the connection in good order.
    pub fn close(&mut self) {
        self.connection = None;
    }

    /// Ends the connection in the middle of an answer. A shared one stays: HTTP/2 resets the stream when the answer is dropped.
    pub fn cut(&mut self) {
        if self.shared.is_none()
            && let Some(connection) = self.connection.take()
        {
            connection.cut();
        }
    }
}
