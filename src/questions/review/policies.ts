/** The policies under which a guest's kernel shows. */
export const TELLING = 'always,pv-sound,lazy-sound,parked,merged';
