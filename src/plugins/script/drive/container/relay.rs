//! Carries requests of `ctx` out of a container, and answers into it.

use crate::plugins::{
    StepShell,
    script::{
        declare::{
            command_line::{Printed, parse, print},
            request::{MAX_FRAME, Request},
        },
        drive::server::Handler,
    },
};
use crate::seam::{Command, CommandInput, Failure, Streams};
use futures_util::{
    FutureExt as _, StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered,
};
use std::{future::Future, pin::Pin};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Longest line of the relay, in bytes.
const MAX_LINE: usize = 256;

/// A message from the container.
#[derive(Debug, PartialEq)]
enum Message {
    /// A call of `ctx`, with its arguments.
    Ask { id: String, arguments: Vec<String> },
    /// The script ended with this exit code.
    End(i32),
}

/// The relay of one run.
pub(super) struct Relay<'a> {
    shell: &'a StepShell<'a>,
    command: Command,
    handler: &'a dyn Handler,
}

impl<'a> Relay<'a> {
    pub(super) fn new(
        shell: &'a StepShell<'a>,
        path: &str,
        script: &str,
        handler: &'a dyn Handler,
    ) -> Self {
        let arguments = ["sh", "-c", script, "dockctl", path];
        let command = Command {
            arguments: arguments.map(str::to_owned).to_vec(),
            has_input: true,
            ..Command::default()
        };
        Self {
            shell,
            command,
            handler,
        }
    }

    /// Serves requests until the script ends. Returns its exit code.
    pub(super) async fn serve(&self) -> Result<i32, Failure> {
        let (messages, mut received) = unbounded_channel();
        let (answers, inputs) = unbounded_channel();
        let mut streams = RelayStreams {
            rest: Vec::new(),
            messages,
            inputs,
        };
        let mut running = self
            .shell
            .shell
            .run(self.shell.place, &self.command, &mut streams);
        let mut calls: FuturesUnordered<LocalBoxFuture<'_, String>> = FuturesUnordered::new();
        loop {
            tokio::select! {
                ended = &mut running => {
                    ended?;
                    // Without the relay, only the end of the script itself shows its exit code.
                    return std::future::pending().await;
                }
                Some(line) = calls.next() => drop(answers.send(CommandInput::Bytes(line.into_bytes()))),
                message = received.recv() => match message {
                    Some(Message::Ask { id, arguments }) => {
                        calls.push(self.answer(id, arguments).boxed_local());
                    }
                    Some(Message::End(code)) => return Ok(code),
                    None => return std::future::pending().await,
                },
            }
        }
    }

    async fn answer(&self, id: String, arguments: Vec<String>) -> String {
        let printed = match parse(&arguments) {
            Err(printed) => printed,
            Ok(invocation) => {
                let request = Request::Call {
                    args: invocation.arguments,
                    cwd: None,
                };
                print(self.handler.handle(request).await, invocation.is_json)
            }
        };
        answer_line(&id, &printed)
    }
}

/// Returns the line for an answer.
fn answer_line(id: &str, printed: &Printed) -> String {
    let Printed { out, err, code } = printed;
    format!("{id} {code} .{} .{}\n", escaped(out), escaped(err))
}

/// Escapes a text for `printf %b`: the result has no blanks and no line breaks.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("\\0{byte:03o}")
            }
        })
        .collect()
}

struct RelayStreams {
    /// Bytes of an incomplete message.
    rest: Vec<u8>,
    messages: UnboundedSender<Message>,
    inputs: UnboundedReceiver<CommandInput>,
}

impl Streams for RelayStreams {
    fn write_output(&mut self, bytes: &[u8], is_error: bool) -> bool {
        if is_error {
            return true;
        }
        self.rest.extend_from_slice(bytes);
        loop {
            match next_message(&mut self.rest) {
                Ok(Some(message)) => drop(self.messages.send(message)),
                Ok(None) => return true,
                Err(()) => return false,
            }
        }
    }

    fn next_input<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = CommandInput> + 'a>> {
        Box::pin(async { self.inputs.recv().await.unwrap_or(CommandInput::End) })
    }
}

/// Removes a complete message from a buffer. Fails if the container sends something else.
fn next_message(rest: &mut Vec<u8>) -> Result<Option<Message>, ()> {
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return if rest.len() > MAX_LINE {
            Err(())
        } else {
            Ok(None)
        };
    };
    let line = String::from_utf8_lossy(&rest[..end]).into_owned();
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["end", code] => {
            rest.drain(..=end);
            Ok(Some(Message::End(code.parse().map_err(drop)?)))
        }
        ["ask", id, length] => {
            let length: usize = length.parse().map_err(drop)?;
            let is_number = id.bytes().all(|byte| byte.is_ascii_digit());
            if length > MAX_FRAME || !is_number || id.is_empty() {
                return Err(());
            }
            if rest.len() < end + 1 + length {
                return Ok(None);
            }
            let content: Vec<u8> = rest.drain(..end + 1 + length).skip(end + 1).collect();
            let (id, arguments) = (id.to_owned(), arguments(&content).ok_or(())?);
            Ok(Some(Message::Ask { id, arguments }))
        }
        _ => Err(()),
    }
}

/// Reads arguments: each is a line with its length in bytes, and its text.
fn arguments(mut content: &[u8]) -> Option<Vec<String>> {
    let mut all = Vec::new();
    while !content.is_empty() {
        let end = content.iter().position(|byte| *byte == b'\n')?;
        let length: usize = std::str::from_utf8(&content[..end]).ok()?.parse().ok()?;
        let text = content.get(end + 1..end + 1 + length)?;
        all.push(String::from_utf8_lossy(text).into_owned());
        content = &content[end + 1 + length..];
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_in_any_pieces() {
        let mut all = b"ask 12 9\n1\na4\n\nb c".to_vec();
        let whole = all.clone();
        for cut in 0..whole.len() {
            let mut rest = whole[..cut].to_vec();
            assert_eq!(next_message(&mut rest), Ok(None), "{cut}");
        }
        all.extend_from_slice(b"end 3\n");
        let ask = Message::Ask {
            id: "12".to_owned(),
            arguments: vec!["a".to_owned(), "\nb c".to_owned()],
        };
        assert_eq!(next_message(&mut all), Ok(Some(ask)));
        assert_eq!(next_message(&mut all), Ok(Some(Message::End(3))));
        assert!(all.is_empty());
    }

    #[test]
    fn other_output_of_a_container_ends_the_relay() {
        for other in [
            "nonsense\n",
            "ask x 1\n",
            "ask 1 99999999\n",
            "ask 1 -1\n",
            "end x\n",
            "ask 1 2\n9\n",
        ] {
            let mut rest = other.as_bytes().to_vec();
            assert_eq!(next_message(&mut rest), Err(()), "{other}");
        }
        assert_eq!(next_message(&mut vec![b'x'; MAX_LINE + 1]), Err(()));
    }

    #[test]
    fn answers_are_one_line() {
        let printed = Printed {
            out: "a b\\\n".to_owned(),
            err: "é".to_owned(),
            code: 1,
        };
        assert_eq!(
            answer_line("7", &printed),
            "7 1 .a\\0040b\\0134\\0012 .\\0303\\0251\n"
        );
    }
}
