// SPDX-License-Identifier: Apache-2.0
// Text that came from jobs, messages and programs is never trusted: characters that would change
// how the text around them looks are shown as what they are, and colours of terminals become
// classes.

// C0 and C1 controls except tab and newline, and everything that turns the direction of text or
// has no width.
const kOdd = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export function visible(text: string): string {
  return text.replace(kOdd, (c) => {
    const code = c.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code); // ␛
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
  });
}

export interface Piece {
  text: string;
  className: string;
}

const kColours = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];

class Style {
  bold = false;
  dim = false;
  underline = false;
  colour = '';

  set(code: number): void {
    if (code === 0) Object.assign(this, new Style());
    else if (code === 1) this.bold = true;
    else if (code === 2) this.dim = true;
    else if (code === 4) this.underline = true;
    else if (code === 22) this.bold = this.dim = false;
    else if (code === 24) this.underline = false;
    else if (code >= 30 && code <= 37) this.colour = kColours[code - 30] ?? '';
    else if (code === 39) this.colour = '';
    else if (code >= 90 && code <= 97) this.colour = kColours[code - 90] ?? '';
  }

  classes(): string {
    const names = [];
    if (this.bold) names.push('ansi-bold');
    if (this.dim) names.push('ansi-dim');
    if (this.underline) names.push('ansi-underline');
    if (this.colour) names.push(`ansi-${this.colour}`);
    return names.join(' ');
  }
}

// Splits at the colour sequences of terminals; every other sequence stays, made visible.
export function ansi(text: string): Piece[] {
  if (!text.includes('\u001b[')) return [{ text: visible(text), className: '' }];
  const pieces: Piece[] = [];
  const style = new Style();
  let from = 0;
  for (const found of text.matchAll(/\u001b\[([0-9;]*)m/g)) {
    const before = text.slice(from, found.index);
    if (before) pieces.push({ text: visible(before), className: style.classes() });
    const codes = (found[1] || '0').split(';').map(Number);
    if (codes[0] !== 38 && codes[0] !== 48) codes.forEach((code) => style.set(code));
    from = (found.index ?? 0) + found[0].length;
  }
  const rest = text.slice(from);
  if (rest) pieces.push({ text: visible(rest), className: style.classes() });
  return pieces;
}

// Only http and https addresses of data become links.
export function safeLink(text: string): string | undefined {
  try {
    const parsed = new URL(text);
    return parsed.protocol === 'http:' || parsed.protocol === 'https:' ? parsed.href : undefined;
  } catch {
    return undefined;
  }
}
