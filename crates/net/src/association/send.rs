//! Sending: how a message becomes P-DATA-TFs in the write buffer (PS3.8 9.3.5 and Annex E).

use dicomet_proto::association::{ContextId, FragmentKind, Position};
use dicomet_proto::message::Command;
use dicomet_proto::pdu::AbortReason;

use super::{Association, Data, Source, output};
use crate::Error;

/// PDU header and PDV header.
const HEADER: usize = 12;

impl Association {
    /// Sends a message. On return all of it is sent or stands in the write buffer, which the next `send`,
    /// `receive` or `flush` moves on; so several small messages that follow one another within half a
    /// millisecond leave in one system call. Who then does something slow calls `flush` before.
    ///
    /// Not cancel safe: when the future is dropped in the middle of a message, nothing more can be sent.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn send(
        &mut self,
        context_id: ContextId,
        command: &Command,
        data: Data<'_>,
    ) -> Result<(), Error> {
        self.check_usable("P-DATA request")?;
        let command = command.encode();
        let max = self.max_fragment()?;
        match data {
            Data::None => self.send_bytes(context_id, FragmentKind::Command, &command, max).await?,
            // Some peers (PixelMed) take a final response with an identifier only in one P-DATA-TF.
            Data::Bytes(data) if command.len() + data.len() + 6 <= max => {
                self.send_packed(context_id, &command, data).await?;
            }
            Data::Bytes(data) => {
                self.send_bytes(context_id, FragmentKind::Command, &command, max).await?;
                self.half_sent = true;
                self.send_bytes(context_id, FragmentKind::DataSet, data, max).await?;
            }
            Data::Source(source) => {
                self.send_bytes(context_id, FragmentKind::Command, &command, max).await?;
                self.half_sent = true;
                self.send_source(context_id, source, max).await?;
            }
        }
        self.half_sent = false;
        self.pump.write_if_due();
        Ok(())
    }

    /// The most bytes of a fragment that we make.
    fn max_fragment(&mut self) -> Result<usize, Error> {
        let max = self.pump.core.max_fragment_length().min(output::MAX_FRAGMENT);
        if max < 2 {
            let what = "stated a maximum length in which no fragment fits";
            return Err(self.pump.misbehaved(AbortReason::InvalidPduParameterValue, what));
        }
        Ok(max)
    }

    /// Waits until `length` bytes have room in the write buffer.
    async fn make_room(&mut self, length: usize) -> Result<(), Error> {
        if self.pump.has_ended() {
            return Err(self.pump.error());
        }
        if !self.pump.output.has_room(length) {
            self.flush().await?;
        }
        Ok(())
    }

    async fn send_bytes(
        &mut self,
        context_id: ContextId,
        kind: FragmentKind,
        bytes: &[u8],
        max: usize,
    ) -> Result<(), Error> {
        let mut rest = bytes;
        loop {
            let (fragment, behind) = rest.split_at(rest.len().min(max));
            let position = if behind.is_empty() { Position::Last } else { Position::More };
            self.make_room(HEADER + fragment.len()).await?;
            self.put_bytes(context_id, kind, fragment, position)?;
            if behind.is_empty() {
                return Ok(());
            }
            self.half_sent = true;
            rest = behind;
        }
    }

    /// Command and data set as two PDVs of one P-DATA-TF.
    async fn send_packed(&mut self, context_id: ContextId, command: &[u8], data: &[u8]) -> Result<(), Error> {
        self.make_room(2 * HEADER + command.len() + data.len()).await?;
        let core = &mut self.pump.core;
        let mut first = core.data_header(context_id, FragmentKind::Command, Position::Last, command.len())?;
        let second = core.data_header(context_id, FragmentKind::DataSet, Position::Last, data.len())?;
        // Two PDV headers of six bytes behind one PDU header.
        let pdu_length = u32::try_from(12 + command.len() + data.len()).unwrap_or(u32::MAX);
        first[2..6].copy_from_slice(&pdu_length.to_be_bytes());
        for bytes in [&first[..], command, &second[6..], data] {
            self.pump.output.append(bytes);
        }
        Ok(())
    }

    /// Reads a source straight into the write buffer, behind the place of the header.
    async fn send_source(
        &mut self,
        context_id: ContextId,
        source: &mut dyn Source,
        max: usize,
    ) -> Result<(), Error> {
        let mut remaining = source.remaining();
        loop {
            let length = usize::try_from(remaining).unwrap_or(usize::MAX).min(max);
            remaining -= length as u64;
            self.make_room(HEADER + length).await?;
            let slot = self.pump.output.slot(HEADER + length);
            if let Err(error) = fill(&mut slot[HEADER..], source) {
                self.half_sent = false;
                return Err(self.pump.abort(Error::Source(error)));
            }
            let position = if remaining == 0 { Position::Last } else { Position::More };
            let header = self.pump.core.data_header(context_id, FragmentKind::DataSet, position, length)?;
            slot[..HEADER].copy_from_slice(&header);
            self.pump.output.commit(HEADER + length);
            if remaining == 0 {
                return Ok(());
            }
        }
    }

    /// Puts one fragment into the write buffer.
    pub(super) fn put_bytes(
        &mut self,
        context_id: ContextId,
        kind: FragmentKind,
        fragment: &[u8],
        position: Position,
    ) -> Result<(), Error> {
        let header = self.pump.core.data_header(context_id, kind, position, fragment.len())?;
        self.pump.output.append(&header);
        self.pump.output.append(fragment);
        Ok(())
    }
}

/// Fills the buffer to its end.
fn fill(mut buffer: &mut [u8], source: &mut dyn Source) -> std::io::Result<()> {
    while !buffer.is_empty() {
        match source.read(buffer) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => buffer = &mut buffer[read..],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
