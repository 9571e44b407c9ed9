/** A fork or snapshot as JSON and in tables. */
import type { TreeInfo } from '../store/index.ts';
import { isoTime } from './output.ts';

export interface TreeObject {
  readonly name: string;
  readonly kind: 'fork' | 'snapshot';
  readonly source: string;
  readonly created: string;
  readonly id: number;
}

export function treeObject(info: TreeInfo): TreeObject {
  const { name, kind, source, created, id } = info;
  return { name, kind, source, created: isoTime(created.seconds, created.nanoseconds), id };
}
