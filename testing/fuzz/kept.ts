/** Inputs that once broke a decoder: the target's name, and the bytes in hex. */
export const KEPT: readonly (readonly [target: string, input: string])[] = [
  [
    'rows of a store',
    '0900010000000000000002030106000009832002040113cf0d6b00000000b6da783b0114cf0d6b00000000e9f8e401010200',
  ],
];
