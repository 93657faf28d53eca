//! A peer that does what a script says: sends these bytes, expects a PDU of that type, closes, aborts, stalls.
//!
//! It knows the frame of a PDU (PS3.8 9.3: type, reserved byte, length of four bytes) and no more; the builders
//! below write the few PDUs and command sets that scripts need byte by byte.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

/// PDU types, PS3.8 9.3.
pub mod pdu_type {
    /// A-ASSOCIATE-RQ.
    pub const ASSOCIATE_RQ: u8 = 0x01;
    /// A-ASSOCIATE-AC.
    pub const ASSOCIATE_AC: u8 = 0x02;
    /// A-ASSOCIATE-RJ.
    pub const ASSOCIATE_RJ: u8 = 0x03;
    /// P-DATA-TF.
    pub const P_DATA: u8 = 0x04;
    /// A-RELEASE-RQ.
    pub const RELEASE_RQ: u8 = 0x05;
    /// A-RELEASE-RP.
    pub const RELEASE_RP: u8 = 0x06;
    /// A-ABORT.
    pub const ABORT: u8 = 0x07;
}

/// A PDU as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPdu {
    /// Its type.
    pub kind: u8,
    /// What follows the six bytes of the frame.
    pub body: Vec<u8>,
}

/// One presentation data value, PS3.8 9.3.5.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPdv {
    /// Presentation context.
    pub context_id: u8,
    /// Part of a command (else of a data set).
    pub is_command: bool,
    /// The last fragment of it.
    pub is_last: bool,
    /// The fragment.
    pub data: Vec<u8>,
}

impl RawPdu {
    /// The presentation data values of a P-DATA-TF.
    ///
    /// # Panics
    /// When it is none, or its lengths do not add up.
    pub fn pdvs(&self) -> Vec<RawPdv> {
        assert_eq!(self.kind, pdu_type::P_DATA, "this is no P-DATA-TF");
        let mut pdvs = Vec::new();
        let mut rest = &self.body[..];
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
            let item = &rest[4..4 + length];
            pdvs.push(RawPdv {
                context_id: item[0],
                is_command: item[1] & 1 != 0,
                is_last: item[1] & 2 != 0,
                data: item[2..].to_vec(),
            });
            rest = &rest[4 + length..];
        }
        pdvs
    }
}

/// A scripted peer on any stream.
#[derive(Debug)]
pub struct Peer<S> {
    stream: S,
}

/// A scripted peer and, for the code under test, the other end of a pipe in memory.
pub fn pipe() -> (Peer<DuplexStream>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(256 * 1024);
    (Peer::new(ours), theirs)
}

/// A listener on a free port of 127.0.0.1, and that port.
pub async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    (listener, port)
}

/// A port of 127.0.0.1 that was free a moment ago, for processes that want to be told one.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

impl Peer<TcpStream> {
    /// Waits for a connection.
    pub async fn accept(listener: &TcpListener) -> Peer<TcpStream> {
        let (stream, _) = listener.accept().await.expect("a connection");
        Peer::new(stream)
    }

    /// Connects to a port of 127.0.0.1.
    pub async fn connect(port: u16) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(("127.0.0.1", port)).await.expect("somebody listens"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// A peer on this stream.
    pub fn new(stream: S) -> Peer<S> {
        Peer { stream }
    }

    /// Sends these bytes, whatever they are. That the other side has gone is no failure of the script.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Receives one PDU of any type.
    ///
    /// # Errors
    /// When the stream ends or fails, `UnexpectedEof` for the end.
    pub async fn receive(&mut self) -> io::Result<RawPdu> {
        let mut frame = [0; 6];
        self.stream.read_exact(&mut frame).await?;
        let length = u32::from_be_bytes(frame[2..6].try_into().expect("four bytes"));
        let mut body = Vec::new();
        (&mut self.stream).take(u64::from(length)).read_to_end(&mut body).await?;
        if body.len() as u64 != u64::from(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(RawPdu { kind: frame[0], body })
    }

    /// Receives one PDU, which must be of this type.
    ///
    /// # Panics
    /// When another one comes, or none.
    pub async fn expect(&mut self, kind: u8) -> RawPdu {
        let pdu = self.receive().await.unwrap_or_else(|error| panic!("PDU {kind:02X} expected: {error}"));
        assert_eq!(pdu.kind, kind, "PDU {kind:02X} expected, got {:02X} with {:02X?}", pdu.kind, pdu.body);
        pdu
    }

    /// Expects the end of the stream, orderly or not, and nothing before it.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn expect_end(&mut self) {
        let mut byte = [0];
        match self.stream.read(&mut byte).await {
            Ok(0) | Err(_) => {}
            Ok(_) => panic!("the end was expected, got a byte {:02X}", byte[0]),
        }
    }

    /// Receives until a whole command set is there: its context, its bytes, and the fragments of data sets
    /// that came in the same PDUs behind it.
    ///
    /// # Panics
    /// When something else than P-DATA-TF comes.
    pub async fn expect_command(&mut self) -> (u8, Vec<u8>, Vec<RawPdv>) {
        let (mut command, mut behind) = (Vec::new(), Vec::new());
        loop {
            let mut whole = None;
            for pdv in self.expect(pdu_type::P_DATA).await.pdvs() {
                if !pdv.is_command {
                    behind.push(pdv);
                    continue;
                }
                command.extend_from_slice(&pdv.data);
                if pdv.is_last {
                    whole = Some(pdv.context_id);
                }
            }
            if let Some(context_id) = whole {
                return (context_id, command, behind);
            }
        }
    }

    /// Accepts the association that is asked for: every context, in the first transfer syntax it offers,
    /// every role as proposed. Gives back the request.
    pub async fn accept_association(&mut self) -> RawPdu {
        let request = self.expect(pdu_type::ASSOCIATE_RQ).await;
        self.send(&associate_ac(&request)).await;
        request
    }

    /// Sends A-ABORT of the service user and closes.
    pub async fn abort(mut self) {
        self.send(&abort(0, 0)).await;
        self.close().await;
    }

    /// Closes without a word.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Keeps the connection and does nothing, until it is dropped.
    pub async fn stall(self) {
        std::future::pending::<()>().await;
        drop(self);
    }
}

/// A presentation context as a requestor proposes it.
pub type ProposedContext<'a> = (u8, &'a str, &'a [&'a str]);

/// A PDU of this type with this body.
pub fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend_from_slice(&u32::try_from(body.len()).expect("a PDU has less than 4 GiB").to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// An item or sub-item: type, reserved byte, length of two bytes, value.
pub fn item(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend_from_slice(&u16::try_from(value.len()).expect("an item has less than 64 KiB").to_be_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// A-ASSOCIATE-RQ with these contexts and further user-information sub-items; maximum length 16,384.
pub fn associate_rq(
    called: &str,
    calling: &str,
    contexts: &[ProposedContext<'_>],
    sub_items: &[u8],
) -> Vec<u8> {
    let mut body = associate_head(called, calling);
    for (id, abstract_syntax, transfer_syntaxes) in contexts {
        let mut value = vec![*id, 0, 0, 0];
        value.extend(item(0x30, abstract_syntax.as_bytes()));
        for transfer_syntax in *transfer_syntaxes {
            value.extend(item(0x40, transfer_syntax.as_bytes()));
        }
        body.extend(item(0x20, &value));
    }
    body.extend(user_information(sub_items));
    pdu(pdu_type::ASSOCIATE_RQ, &body)
}

/// The A-ASSOCIATE-AC that takes everything which this A-ASSOCIATE-RQ proposes, roles too.
pub fn associate_ac(request: &RawPdu) -> Vec<u8> {
    let mut body = request.body[..68].to_vec();
    body.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    let mut roles = Vec::new();
    for (kind, value) in items(&request.body[68..]) {
        match kind {
            0x20 => {
                let accepted = items(&value[4..]).into_iter().find(|(kind, _)| *kind == 0x40);
                let (_, transfer_syntax) = accepted.expect("a context proposes a transfer syntax");
                let mut answer = vec![value[0], 0, 0, 0];
                answer.extend(item(0x40, transfer_syntax));
                body.extend(item(0x21, &answer));
            }
            0x50 => {
                for (kind, value) in items(value) {
                    if kind == 0x54 {
                        roles.extend(item(0x54, value));
                    }
                }
            }
            _ => {}
        }
    }
    body.extend(user_information(&roles));
    pdu(pdu_type::ASSOCIATE_AC, &body)
}

/// The items in these bytes, as type and value.
///
/// # Panics
/// When a length goes past the end.
pub fn items(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        items.push((bytes[0], &bytes[4..4 + length]));
        bytes = &bytes[4 + length..];
    }
    items
}

/// A-ASSOCIATE-RJ.
pub fn associate_rj(result: u8, source: u8, reason: u8) -> Vec<u8> {
    pdu(pdu_type::ASSOCIATE_RJ, &[0, result, source, reason])
}

/// A-ABORT.
pub fn abort(source: u8, reason: u8) -> Vec<u8> {
    pdu(pdu_type::ABORT, &[0, 0, source, reason])
}

/// A-RELEASE-RQ.
pub fn release_rq() -> Vec<u8> {
    pdu(pdu_type::RELEASE_RQ, &[0; 4])
}

/// A-RELEASE-RP.
pub fn release_rp() -> Vec<u8> {
    pdu(pdu_type::RELEASE_RP, &[0; 4])
}

/// A P-DATA-TF with one fragment of a command.
pub fn p_data_command(context_id: u8, is_last: bool, data: &[u8]) -> Vec<u8> {
    p_data(context_id, 1 | u8::from(is_last) << 1, data)
}

/// A P-DATA-TF with one fragment of a data set.
pub fn p_data_data_set(context_id: u8, is_last: bool, data: &[u8]) -> Vec<u8> {
    p_data(context_id, u8::from(is_last) << 1, data)
}

fn p_data(context_id: u8, control: u8, data: &[u8]) -> Vec<u8> {
    let mut body = u32::try_from(data.len() + 2).expect("less than 4 GiB").to_be_bytes().to_vec();
    body.extend_from_slice(&[context_id, control]);
    body.extend_from_slice(data);
    pdu(pdu_type::P_DATA, &body)
}

/// A value in a command set.
#[derive(Debug, Clone)]
pub enum Field<'a> {
    /// US.
    Number(u16),
    /// UI, padded with NUL.
    Uid(&'a str),
    /// AE or LO, padded with a space.
    Text(&'a str),
}

/// A command set (PS3.7 6.3.1: Implicit VR Little Endian) of these elements of group 0000, its group length
/// before them. They must come in order.
pub fn command_set(elements: &[(u16, Field<'_>)]) -> Vec<u8> {
    let mut rest = Vec::new();
    for (element, field) in elements {
        let mut value = match field {
            Field::Number(number) => number.to_le_bytes().to_vec(),
            Field::Uid(text) | Field::Text(text) => text.as_bytes().to_vec(),
        };
        if value.len() % 2 == 1 {
            value.push(if matches!(field, Field::Uid(_)) { 0 } else { b' ' });
        }
        rest.extend_from_slice(&[0, 0]);
        rest.extend_from_slice(&element.to_le_bytes());
        rest.extend_from_slice(&u32::try_from(value.len()).expect("a short value").to_le_bytes());
        rest.extend_from_slice(&value);
    }
    let mut bytes = vec![0, 0, 0, 0, 4, 0, 0, 0];
    bytes.extend_from_slice(&u32::try_from(rest.len()).expect("a short command").to_le_bytes());
    bytes.extend_from_slice(&rest);
    bytes
}

/// The value of an element in a command set, as it stands there.
pub fn command_value(command: &[u8], element: u16) -> Option<&[u8]> {
    let mut rest = command;
    while rest.len() >= 8 {
        let length = u32::from_le_bytes(rest[4..8].try_into().expect("four bytes")) as usize;
        if u16::from_le_bytes([rest[2], rest[3]]) == element {
            return rest.get(8..8 + length);
        }
        rest = rest.get(8 + length..)?;
    }
    None
}

/// A number (US) in a command set.
pub fn command_number(command: &[u8], element: u16) -> Option<u16> {
    let value = command_value(command, element)?;
    Some(u16::from_le_bytes(value.try_into().ok()?))
}

/// Protocol version, AE titles, reserved bytes: bytes 7 to 74 of an A-ASSOCIATE-RQ, and the application context.
fn associate_head(called: &str, calling: &str) -> Vec<u8> {
    let mut head = vec![0, 1, 0, 0];
    head.extend_from_slice(format!("{called:<16}{calling:<16}").as_bytes());
    head.extend_from_slice(&[0; 32]);
    head.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    head
}

/// Maximum length and implementation class UID, then whatever else.
fn user_information(sub_items: &[u8]) -> Vec<u8> {
    let mut value = item(0x51, &16_384_u32.to_be_bytes());
    value.extend(item(0x52, b"1.2.3.4.5"));
    value.extend_from_slice(sub_items);
    item(0x50, &value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_scripted_peers_open_and_release_an_association() {
        let (mut acceptor, stream) = pipe();
        let mut requestor = Peer::new(stream);
        let verification: ProposedContext<'_> = (1, "1.2.840.10008.1.1", &["1.2.840.10008.1.2"]);
        requestor.send(&associate_rq("ANY-SCP", "TESTKIT", &[verification], &[])).await;
        let request = acceptor.accept_association().await;
        assert_eq!(&request.body[4..20], b"ANY-SCP         ");
        let answer = requestor.expect(pdu_type::ASSOCIATE_AC).await;
        let contexts: Vec<_> =
            items(&answer.body[68..]).into_iter().filter(|(kind, _)| *kind == 0x21).collect();
        assert_eq!(contexts, [(0x21, &b"\x01\0\0\0\x40\0\0\x111.2.840.10008.1.2"[..])]);
        requestor.send(&release_rq()).await;
        acceptor.expect(pdu_type::RELEASE_RQ).await;
        acceptor.close().await;
        requestor.expect_end().await;
    }

    #[tokio::test]
    async fn a_command_in_two_fragments_is_put_together() {
        let (mut here, stream) = pipe();
        let mut there = Peer::new(stream);
        let command =
            command_set(&[(0x0002, Field::Uid("1.2.840.10008.1.1")), (0x0100, Field::Number(0x30))]);
        there.send(&p_data_command(5, false, &command[..7])).await;
        there.send(&p_data_command(5, true, &command[7..])).await;
        let (context_id, received, behind) = here.expect_command().await;
        assert_eq!((context_id, &received, behind.len()), (5, &command, 0));
        assert_eq!(command_number(&received, 0x0100), Some(0x30));
        assert_eq!(command_value(&received, 0x0002), Some(&b"1.2.840.10008.1.1\0"[..]));
        assert_eq!(command_value(&received, 0x0900), None);
    }
}
