//! The envelope that existing teams have on the wire.
