//! An association that costs its owner next to nothing: PDUs are read into one buffer and looked at, and nothing in
//! them is decoded beyond the status of a command. What is measured with it is the peer.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::str::FromStr;

use dicomet_testkit::peer::{
    Field, associate_rq, command_number, command_set, p_data_command, p_data_data_set,
};
use dicomet_testkit::peer::{pdu_type, release_rq};

/// Verification, PS3.4 A.
pub const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Study Root Query/Retrieve, FIND.
pub const STUDY_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
/// Explicit VR Little Endian.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// The AE title that we call ourselves by.
pub const AE_TITLE: &str = "BENCH";

/// Data set bytes in one of our PDUs; every acceptor takes 16 KiB.
const FRAGMENT: usize = 16_000;
const STATUS: u16 = 0x0900;

/// `AET@host:port`.
#[derive(Debug, Clone)]
pub struct Node {
    /// The called AE title.
    pub ae_title: String,
    /// `host:port`.
    pub address: String,
}

impl FromStr for Node {
    type Err = String;

    fn from_str(text: &str) -> Result<Node, String> {
        let (ae_title, address) =
            text.split_once('@').ok_or_else(|| format!("{text} is not AET@host:port"))?;
        Ok(Node { ae_title: ae_title.to_owned(), address: address.to_owned() })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ae_title)
    }
}

/// An association with one presentation context, number 1, in Explicit VR Little Endian.
#[derive(Debug)]
pub struct Lean {
    stream: BufReader<TcpStream>,
    abstract_syntax: String,
    body: Vec<u8>,
    message_id: u16,
}

impl Lean {
    /// Opens it.
    ///
    /// # Errors
    /// Of the network, and when the peer rejects.
    pub fn open(node: &Node, abstract_syntax: &str) -> io::Result<Lean> {
        let stream = TcpStream::connect(&node.address)?;
        stream.set_nodelay(true)?;
        let mut lean = Lean {
            stream: BufReader::with_capacity(256 * 1024, stream),
            abstract_syntax: abstract_syntax.to_owned(),
            body: Vec::new(),
            message_id: 0,
        };
        let context = (1, abstract_syntax, &[EXPLICIT_VR_LITTLE_ENDIAN][..]);
        lean.send(&associate_rq(&node.ae_title, AE_TITLE, &[context], &[]))?;
        match lean.receive()? {
            pdu_type::ASSOCIATE_AC => Ok(lean),
            kind => Err(io::Error::other(format!("{node} answered the association request with PDU {kind}"))),
        }
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// Of the network.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// The bytes of a C-STORE-RQ, command and data set.
    pub fn c_store_rq(&mut self, sop_instance_uid: &str, data_set: &[u8]) -> Vec<u8> {
        let mut bytes = self.request(
            0x0001,
            &[(0x0700, Field::Number(0)), (0x0800, Field::Number(0))],
            Some(sop_instance_uid),
        );
        push_data_set(&mut bytes, data_set);
        bytes
    }

    /// The bytes of a C-FIND-RQ, command and identifier.
    pub fn c_find_rq(&mut self, identifier: &[u8]) -> Vec<u8> {
        let mut bytes = self.request(0x0020, &[(0x0700, Field::Number(0)), (0x0800, Field::Number(0))], None);
        push_data_set(&mut bytes, identifier);
        bytes
    }

    /// The bytes of a C-ECHO-RQ.
    pub fn c_echo_rq(&mut self) -> Vec<u8> {
        self.request(0x0030, &[(0x0800, Field::Number(0x0101))], None)
    }

    fn request(
        &mut self,
        command_field: u16,
        fields: &[(u16, Field<'_>)],
        instance: Option<&str>,
    ) -> Vec<u8> {
        self.message_id = self.message_id.wrapping_add(1);
        let sop_class = self.abstract_syntax.clone();
        let mut elements = vec![
            (0x0002, Field::Uid(&sop_class)),
            (0x0100, Field::Number(command_field)),
            (0x0110, Field::Number(self.message_id)),
        ];
        elements.extend_from_slice(fields);
        elements.extend(instance.map(|uid| (0x1000, Field::Uid(uid))));
        p_data_command(1, true, &command_set(&elements))
    }

    /// The status of the next response, whatever it answers; data sets are passed over.
    ///
    /// # Errors
    /// Of the network, and when the peer ends the association.
    pub fn status(&mut self) -> io::Result<u16> {
        loop {
            if let Some(status) = self.statuses()?.first() {
                return Ok(*status);
            }
        }
    }

    /// The statuses of the commands in the next PDU. A command is taken to be in one piece, as everybody sends it.
    ///
    /// # Errors
    /// Of the network, and when the peer ends the association.
    pub fn statuses(&mut self) -> io::Result<Vec<u16>> {
        let kind = self.receive()?;
        if kind != pdu_type::P_DATA {
            return Err(io::Error::other(format!("PDU {kind} where a response was expected")));
        }
        let mut statuses = Vec::new();
        let mut rest = &self.body[..];
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let (pdv, next) = behind
                .split_at_checked(u32::from_be_bytes(*length) as usize)
                .ok_or(io::ErrorKind::InvalidData)?;
            rest = next;
            if let [_, control, command @ ..] = pdv
                && control & 1 != 0
                && let Some(status) = command_number(command, STATUS)
            {
                statuses.push(status);
            }
        }
        Ok(statuses)
    }

    /// Ends the association in order.
    ///
    /// # Errors
    /// Of the network.
    pub fn release(mut self) -> io::Result<()> {
        self.send(&release_rq())?;
        while self.receive()? != pdu_type::RELEASE_RP {}
        Ok(())
    }

    /// Reads a PDU into the buffer and tells its type.
    fn receive(&mut self) -> io::Result<u8> {
        let mut frame = [0; 6];
        self.stream.read_exact(&mut frame)?;
        let [kind, _, length @ ..] = frame;
        self.body.resize(u32::from_be_bytes(length) as usize, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(kind)
    }
}

fn push_data_set(to: &mut Vec<u8>, data_set: &[u8]) {
    let fragments = data_set.len().div_ceil(FRAGMENT);
    for (number, fragment) in data_set.chunks(FRAGMENT).enumerate() {
        to.extend(p_data_data_set(1, number + 1 == fragments, fragment));
    }
}

/// The middle one, when they are sorted.
pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
