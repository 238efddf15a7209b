/**
 * The model as one module: what a mutant is bundled from, and what the unmodified model that it is
 * held against is bundled from as well.
 */
export { findPolicy } from '../../host/policy/index.js';
export { findCpuModel } from '../../hw/cpu_models.js';
export { ShapeCampaign } from '../../campaign/campaign.js';
