//! QMP, as far as we need it: one command a connection.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

use crate::{Error, Result};

/// The longest wait for QEMU's answer.
const ANSWER: Duration = Duration::from_secs(2);
/// The longest message that is read, bytes; one that is cut off is no JSON.
const ANSWER_MAX: u64 = 1 << 20;

/// Runs one command without arguments.
pub(super) async fn run(socket: &Path, command: &str) -> Result<Value> {
    run_with(socket, command, json!({})).await
}

/// Runs one command.
pub(super) async fn run_with(socket: &Path, command: &str, arguments: Value) -> Result<Value> {
    let stream = UnixStream::connect(socket).await.map_err(|e| Error::Transient(format!("QEMU does not listen ({e})")))?;
    let asked = async {
        let mut stream = BufReader::new(stream);
        read(&mut stream, "QMP").await?;
        for (command, arguments) in [("qmp_capabilities", json!({})), (command, arguments)] {
            stream.write_all(format!("{}\n", json!({ "execute": command, "arguments": arguments })).as_bytes()).await?;
            let answer = read(&mut stream, "return").await?;
            if let Some(error) = answer.get("error") {
                return Ok(Err(Error::Permanent(format!("QEMU refuses {command}: {}", error["desc"].as_str().unwrap_or("no reason given")))));
            }
            if command != "qmp_capabilities" {
                return Ok(Ok(answer["return"].clone()));
            }
        }
        Ok(Ok(Value::Null))
    };
    match timeout(ANSWER, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err::<_, std::io::Error>(error).map_err(|e| Error::Unknown(format!("QEMU hung up ({e})"))),
        Err(_) => Err(Error::Unknown(format!("QEMU did not answer within {} s", ANSWER.as_secs()))),
    }
}

/// The next message with this key, or an error; events pass by.
async fn read(stream: &mut BufReader<UnixStream>, key: &str) -> std::io::Result<Value> {
    loop {
        let mut line = String::new();
        if (&mut *stream).take(ANSWER_MAX).read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let message: Value = serde_json::from_str(&line)?;
        if message.get(key).is_some() || message.get("error").is_some() {
            return Ok(message);
        }
    }
}
