import { OPEN, ROOMS } from '../architecture/rooms.ts';
import { table } from './table.ts';

/** The map of src/README.md, from the import law. */
export function importTable(): string {
  const rows = Object.entries(ROOMS)
    .filter(([room]) => !OPEN.includes(room))
    .map(([room, { holds, imports }]) => [room, holds, imports.map(shown).join(', ')]);
  return table(['room', 'holds', 'may import'], rows);
}

function shown(permission: string): string {
  if (permission.endsWith(' types')) return `${permission.slice(0, -6)} (types)`;
  if (permission.startsWith('npm:')) return `\`${permission.slice(4)}\``;
  return permission.startsWith('src/') ? `\`${permission.slice(4)}\`` : permission;
}
