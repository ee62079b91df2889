import { CommandError } from './command.ts';

const UNITS: ReadonlyMap<string, number> = new Map(
  ['', 'K', 'M', 'G', 'T', 'P'].flatMap((unit, power): [string, number][] =>
    unit === ''
      ? [
          ['', 1],
          ['B', 1],
        ]
      : [
          [`${unit}iB`, 1024 ** power],
          [`${unit}B`, 1000 ** power],
        ],
  ),
);

/** A size as people write it: 10GiB (1024 by 1024 by 1024), 10GB (a thousand each), or bytes. Throws CommandError. */
export function byteSize(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text) ?? [];
  const factor = UNITS.get(unit);
  const bytes = Math.floor(Number(digits) * (factor ?? 0));
  if (digits === '' || factor === undefined || !Number.isSafeInteger(bytes)) {
    throw new CommandError(`"${text}" is no size: write for example 10GiB, 500MB or 1048576`);
  }
  return bytes;
}

/** The size in words, with the bytes behind it. */
export function formatByteSize(bytes: number): string {
  const power = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'].findLastIndex(
    (_, index) => bytes >= 1024 ** (index + 1),
  );
  const unit = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'][power];
  if (unit === undefined) return `${bytes} bytes`;
  const amount = bytes / 1024 ** (power + 1);
  return `${Number.isInteger(amount) ? amount : amount.toFixed(1)} ${unit} (${bytes} bytes)`;
}
