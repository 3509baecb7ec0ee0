//! A close that loses no answer.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A body that a caller goes on sending after its answer is read and thrown away, up to this much and so
/// long: closing at once would reset the connection and could take the answer with it (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 512 << 10;
const LINGER: Duration = Duration::from_secs(2);

/// Did the caller take all of it in time?
pub async fn write_within<IO: AsyncWrite + Unpin>(stream: &mut IO, bytes: &[u8]) -> bool {
    matches!(tokio::time::timeout(LINGER, stream.write_all(bytes)).await, Ok(Ok(())))
}

/// Says that nothing more will come, and reads on for a moment what the caller is still sending.
pub async fn linger<IO: AsyncRead + AsyncWrite + Unpin>(mut stream: IO) {
    let reading = async {
        let _ = stream.shutdown().await; // hyper may have done it
        let mut scratch = [0; 4096];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut scratch).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LINGER, reading).await;
}

/// Says that nothing more will come.
pub async fn shut<IO: AsyncWrite + Unpin>(stream: &mut IO) {
    let _ = tokio::time::timeout(LINGER, stream.shutdown()).await;
}
