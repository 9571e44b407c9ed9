/**
 * Bytes of a row of the host table (the layers that stand for a host directory), and nothing else. Key: see key-format.
 *
 *   varint  layer, and so on to the end of the row: directories at other places may have the same key
 */
import type { ByteReader, ByteWriter, LayerId } from '../base/index.ts';

export function encodeHostLayers(writer: ByteWriter, layers: readonly LayerId[]): void {
  for (const layer of layers) writer.varint(layer);
}

export function decodeHostLayers(reader: ByteReader): LayerId[] {
  const layers: LayerId[] = [];
  // The row holds what encodeHostLayers wrote: the numbers of one layer or more.
  do layers.push(reader.varint() as LayerId);
  while (!reader.isAtEnd);
  return layers;
}
