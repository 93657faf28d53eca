//! C-FIND with any identifier, byte for byte, and the answers as they came: for what no tool's own idea of a query, or of
//! when to cancel one, shall touch.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use dicomet_testkit::peer::{Field, RawPdu, associate_rq, command_number, command_set, items};
use dicomet_testkit::peer::{p_data_command, p_data_data_set, pdu_type, release_rq};

/// Explicit VR Little Endian, in which identifiers are sent and come.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// An association for C-FIND in one information model.
#[derive(Debug)]
pub struct Asker {
    stream: BufReader<TcpStream>,
    sop_class: String,
    message_id: u16,
}

/// What a C-FIND was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The identifiers, encoded.
    pub identifiers: Vec<Vec<u8>>,
    /// The final status.
    pub status: u16,
}

impl Asker {
    /// Associates with the archive of this AE title on 127.0.0.1, called `DICOMET`. Relational queries are asked for
    /// (PS3.4 C.5.1.1), and whether they are granted is told.
    ///
    /// # Panics
    /// When it does not accept.
    pub fn open(ae_title: &str, port: u16, sop_class: &str) -> (Asker, bool) {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut asker =
            Asker { stream: BufReader::new(stream), sop_class: sop_class.to_owned(), message_id: 0 };
        let mut negotiation = u16::try_from(sop_class.len()).expect("a UID is short").to_be_bytes().to_vec();
        negotiation.extend_from_slice(sop_class.as_bytes());
        negotiation.push(1);
        let mut sub_item = vec![0x56, 0];
        sub_item.extend_from_slice(&u16::try_from(negotiation.len()).expect("short").to_be_bytes());
        sub_item.extend_from_slice(&negotiation);
        let context = (1, sop_class, &[EXPLICIT_VR_LITTLE_ENDIAN][..]);
        asker.send(&associate_rq(ae_title, "DICOMET", &[context], &sub_item));
        let accepted = asker.receive();
        assert_eq!(accepted.kind, pdu_type::ASSOCIATE_AC, "{ae_title} does not accept the association");
        let user_information = items(&accepted.body[68..]).into_iter().find(|(kind, _)| *kind == 0x50);
        let sub_items = user_information.map(|(_, value)| items(value)).unwrap_or_default();
        let is_relational = sub_items
            .iter()
            .any(|(kind, value)| *kind == 0x56 && value[2 + sop_class.len()..].starts_with(&[1]));
        (asker, is_relational)
    }

    /// Asks, and takes all answers.
    ///
    /// # Panics
    /// When something else comes.
    pub fn ask(&mut self, identifier: &[u8]) -> Answers {
        let request = self.request(identifier);
        self.send(&request);
        self.answers()
    }

    /// Asks, and cancels in the same breath (PS3.7 9.3.2.3): request and C-CANCEL-RQ leave in one write.
    ///
    /// # Panics
    /// When something else than answers comes.
    pub fn ask_and_cancel(&mut self, identifier: &[u8]) -> Answers {
        let mut bytes = self.request(identifier);
        let cancel = command_set(&[
            (0x0100, Field::Number(0x0FFF)),
            (0x0120, Field::Number(self.message_id)),
            (0x0800, Field::Number(0x0101)),
        ]);
        bytes.extend(p_data_command(1, true, &cancel));
        self.send(&bytes);
        self.answers()
    }

    fn request(&mut self, identifier: &[u8]) -> Vec<u8> {
        self.message_id += 1;
        let request = command_set(&[
            (0x0002, Field::Uid(&self.sop_class)),
            (0x0100, Field::Number(0x0020)),
            (0x0110, Field::Number(self.message_id)),
            (0x0700, Field::Number(0)),
            (0x0800, Field::Number(0)),
        ]);
        let mut bytes = p_data_command(1, true, &request);
        bytes.extend(p_data_data_set(1, true, identifier));
        bytes
    }

    fn answers(&mut self) -> Answers {
        let (mut identifiers, mut command, mut data_set) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            for pdv in self.receive().pdvs() {
                let message = if pdv.is_command { &mut command } else { &mut data_set };
                message.extend_from_slice(&pdv.data);
                if !pdv.is_last {
                    continue;
                }
                if !pdv.is_command {
                    identifiers.push(std::mem::take(&mut data_set));
                    continue;
                }
                match command_number(&std::mem::take(&mut command), 0x0900) {
                    Some(0xFF00 | 0xFF01) => {}
                    status => {
                        return Answers { identifiers, status: status.expect("a response has a status") };
                    }
                }
            }
        }
    }

    /// Ends the association in order.
    ///
    /// # Panics
    /// When the peer does not.
    pub fn release(mut self) {
        self.send(&release_rq());
        assert_eq!(self.receive().kind, pdu_type::RELEASE_RP);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the peer reads");
    }

    fn receive(&mut self) -> RawPdu {
        let mut frame = [0; 6];
        self.stream.read_exact(&mut frame).expect("the peer answers");
        let length = u32::from_be_bytes([frame[2], frame[3], frame[4], frame[5]]);
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body).expect("the peer sends whole PDUs");
        RawPdu { kind: frame[0], body }
    }
}
