/**
 * Bytes of a row of the host table (which layer stands for a host directory), and nothing else. Key: see key-format.
 *
 *   varint  layer
 */
import type { ByteReader, ByteWriter, LayerId } from '../base/index.ts';

export function encodeHostLayer(writer: ByteWriter, layer: LayerId): void {
  writer.varint(layer);
}

export function decodeHostLayer(reader: ByteReader): LayerId {
  return reader.varint() as LayerId; // The field holds what encodeHostLayer wrote: a layer's number.
}
